"""What is to be replaced in a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from device_runners.edge_tpu.keras_rewrites.functions import inner_activation
from device_runners.edge_tpu.keras_rewrites.registry import REWRITES
from device_runners.edge_tpu.keras_rewrites.rewrite import Form, Rewrite, Site


@dataclass(frozen=True, eq=False)
class Replacement:
    """One call that is replaced.

    Attributes:
        rewrite: By which rewrite.
        form: By which form.
        layer: The name of the layer whose call it is.
    """

    rewrite: Rewrite
    form: Form
    layer: str


def plan_replacements(network: Any, approximate: bool) -> dict[Any, Replacement]:
    """Finds the calls to replace, and gives them nodes of their own in the network.

    Args:
        network: A ``converters.qat.network.Network``. Activations that are to be replaced are
            taken out of the layers that apply them, and a replaced call reads what its form reads.
        approximate: Whether to take forms that aren't exact too.

    Returns:
        For each node to replace, by what.
    """
    from converters.qat.network import replaced

    outputs = set(network.output_values)
    layers: dict[Any, str] = {}
    parts = []
    for node in network.nodes:
        for part in _taken_apart(node, node.output in outputs, approximate):
            layers[part] = node.name
            parts.append(part)
    producers = {value: node for node in parts for value in node.outputs}
    readers: dict[Any, list[Any]] = {}
    for node in parts:
        for value in node.inputs:
            readers.setdefault(value, []).append(node)
    found: dict[Any, Replacement] = {}
    network.nodes = []
    for node in parts:
        match = _match(Site(node, producers.get, readers.__getitem__), approximate)
        if match is None:
            network.nodes.append(node)
            continue
        rewrite, form = match
        source = node.inputs[0] if form.source is None else form.source
        network.nodes.append(replaced(node, args=(source,), kwargs={}))
        found[network.nodes[-1]] = Replacement(rewrite, form, layers[node])
    return found


def _match(site: Site, approximate: bool) -> tuple[Rewrite, Form] | None:
    for rewrite in REWRITES:
        form = rewrite.match(site)
        if form is not None and (form.exact or approximate):
            return rewrite, form
    return None


def _taken_apart(node: Any, is_output: bool, approximate: bool) -> Iterator[Any]:
    """The node, or two if it applies an activation that is to be replaced."""
    from converters.qat.network import Node, Value, replaced

    inner = inner_activation(node.operation)
    # One with weights (a PReLU) is among the layer's own weights: it stays.
    if inner is None or getattr(inner, "weights", None):
        yield node
        return
    before = Value(node.output.shape, node.name)
    activation = Node(f"{node.name}_activation", inner, (before,), {}, node.result)
    if _match(Site(activation, {}.get, lambda _: ()), approximate) is None:
        yield node
        return
    # An output of the model is named after the layer that computes it.
    linear_name, activation.name = (
        (f"{node.name}_linear", node.name) if is_output else (node.name, activation.name)
    )
    yield replaced(node, name=linear_name, linear=True, result=before)
    yield activation

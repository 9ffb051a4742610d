"""``rewrite_model``: replaces what doesn't map in a Keras model by forms that do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from converters.errors import TidepoolError
from device_runners.edge_tpu.keras_rewrites.build import build_rewritten
from device_runners.edge_tpu.keras_rewrites.plan import Replacement, plan_replacements
from device_runners.edge_tpu.keras_rewrites.without_form import reason_without_form


@dataclass(frozen=True)
class Applied:
    """A rewrite that was applied.

    Attributes:
        name: Its name.
        layers: The names of the layers whose functions it replaced.
        exact: Whether the model gives the same in real arithmetic.
        max_error: Largest absolute difference of the function, for any input; 0 where it is exact.
        note: What it put there, in a sentence.
    """

    name: str
    layers: tuple[str, ...]
    exact: bool
    max_error: float
    note: str


@dataclass(frozen=True)
class Left:
    """A layer that the Edge TPU has no ops for, and that no rewrite replaces.

    Attributes:
        layer: Its name.
        function: What it computes.
        reason: Why, and what to do about it.
    """

    layer: str
    function: str
    reason: str


@dataclass(frozen=True, eq=False)
class RewrittenModel:
    """What became of a model.

    Attributes:
        model: The new ``keras.Model``: functional, with the weights of the one given. That one
            itself if nothing was applied.
        applied: What was applied, in the order of the first layers.
        left: What will keep the model off the Edge TPU for want of a form.
    """

    model: Any
    applied: tuple[Applied, ...]
    left: tuple[Left, ...]

    @property
    def exact(self) -> bool:
        """Whether the new model gives the same in real arithmetic."""
        return all(applied.exact for applied in self.applied)


def rewrite_model(model: Any, *, approximate: bool = True) -> RewrittenModel:
    """Replaces what converts to ops that the Edge TPU hasn't got by forms that map.

    Functions are found in layers of their own, in the ``activation`` of other layers and in
    ``keras.ops``, nested models included (the new model is flat). A user's own functions and
    layers stay. The model given isn't changed; layers that are or use a user's own code, Lambda
    layers among them, are shared with it, all others are copied with their weights.

    Args:
        model: A float Keras model, not quantized. A subclassed one, whose calls can't be seen, is
            returned as it is.
        approximate: Whether to apply rewrites that aren't exact too. At an output of the model,
            leaving the function off and computing it on the host is an exact alternative.

    Returns:
        The new model, what was replaced, and what has no form.

    Raises:
        TidepoolError: A layer whose activation is to be replaced can't be copied.
    """
    # Importing it imports Keras.
    from converters.qat.network import read_network

    try:
        network = read_network(model)
    except TidepoolError:
        return RewrittenModel(model, (), ())
    replacements = plan_replacements(network, approximate)
    left = tuple(
        Left(node.name, *reason)
        for node in network.nodes
        if node not in replacements
        and (reason := reason_without_form(node.operation, node.linear)) is not None
    )
    if not replacements:
        return RewrittenModel(model, (), left)
    forms = {node: replacement.form for node, replacement in replacements.items()}
    rewritten = build_rewritten(network, forms)
    return RewrittenModel(rewritten, _applied(list(replacements.values())), left)


def _applied(replacements: list[Replacement]) -> tuple[Applied, ...]:
    """One entry for the replacements of one rewrite with one error."""
    groups: dict[tuple[str, bool, float], list[Replacement]] = {}
    for found in replacements:
        key = (found.rewrite.name, found.form.exact, found.form.max_error)
        groups.setdefault(key, []).append(found)
    return tuple(
        Applied(
            name=name,
            layers=tuple(found.layer for found in group),
            exact=exact,
            max_error=error,
            note=f"{group[0].rewrite.replaces}: now {group[0].rewrite.formula}",
        )
        for (name, exact, error), group in groups.items()
    )

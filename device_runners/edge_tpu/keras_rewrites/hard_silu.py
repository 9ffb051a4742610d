"""Hard-swish (hard_silu) is ``relu6(x + 3) * (x / 6)``.

The converter fuses ``x * (relu6(x + 3) / 6)`` to HARD_SWISH, which stays on the CPU. With the sixth
taken from the other factor it doesn't, and the product is the same.

The product of a tensor and its own hard sigmoid is fused too, so it is replaced as well. A hard
sigmoid alone maps as it is (ADD with RELU6, MUL).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from device_runners.edge_tpu.keras_rewrites.functions import function_of, is_keras
from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor


def _build(steps: Steps, x: Tensor) -> Tensor:
    gate = steps.relu6(steps.affine(x, 1.0, 3.0))
    return steps.multiply(gate, steps.affine(x, 1.0 / 6.0), last=True)


def _hard_silu(x: Array) -> Array:
    return np.asarray(x * np.clip(x + 3.0, 0.0, 6.0) / 6.0)


def _match(site: Site) -> Form | None:
    if site.named("hard_silu"):
        return Form(_build, _hard_silu, exact=True)
    source = _gated_by_itself(site)
    return None if source is None else Form(_build, _hard_silu, exact=True, source=source)


def _gated_by_itself(site: Site) -> Any:
    """The value x if the call is a product of x and the hard sigmoid of x; else None."""
    node = site.node
    if not is_keras(node.operation) or node.kind != "Multiply" or len(node.inputs) != 2:
        return None
    for source, gate in (node.inputs, node.inputs[::-1]):
        if _hard_sigmoid_of(site, gate) is source:
            return source
    return None


def _hard_sigmoid_of(site: Site, gate: Any) -> Any:
    """The value that ``gate`` is the hard sigmoid of; None if it isn't one.

    Either Keras's own function, or ``relu6(x + 3) / 6`` in operators or layers.
    """
    division = site.producer(gate)
    if division is None:
        return None
    function = function_of(division.operation)
    if function is not None and function.name == "hard_sigmoid":
        return division.inputs[0]
    if not np.isclose(_factor(division), 1 / 6):
        return None
    clip = site.producer(division.inputs[0])
    if clip is None or not _is_relu6(clip.operation):
        return None
    shift = site.producer(clip.inputs[0])
    return shift.inputs[0] if shift is not None and _shift(shift) == 3 else None


def _factor(node: Any) -> float:
    """The number that the call multiplies its input by; 0 for any other call."""
    if node.kind == "Rescaling":
        plain = np.ndim(node.operation.scale) == 0 and np.all(node.operation.offset == 0)
        return float(node.operation.scale) if plain else 0.0
    number = _number(node)
    if node.kind == "Multiply":
        return number
    return 1.0 / number if node.kind in ("Divide", "TrueDivide") and number else 0.0


def _shift(node: Any) -> float:
    """The number that the call adds to its input; 0 for any other call."""
    if node.kind == "Rescaling":
        plain = np.ndim(node.operation.offset) == 0 and np.all(node.operation.scale == 1)
        return float(node.operation.offset) if plain else 0.0
    return _number(node) if node.kind == "Add" else 0.0


def _number(node: Any) -> float:
    """The second operand, or the first, if it is a number; else 0."""
    numbers = [value for value in node.args if isinstance(value, int | float)]
    divided = node.kind in ("Divide", "TrueDivide") and isinstance(node.args[0], int | float)
    return float(numbers[0]) if len(numbers) == 1 and not divided else 0.0


def _is_relu6(operation: Any) -> bool:
    if is_keras(operation) and type(operation).__name__ == "Relu6":
        return True
    function = function_of(operation)
    if function is None or function.name != "relu" or function["max_value"] != 6:
        return False
    return not function["threshold"] and not function["negative_slope"]


HARD_SILU = Rewrite(
    name="hard_silu",
    replaces="hard_silu (hard_swish), x * hard_sigmoid(x)",
    formula="relu6(x + 3) * (x / 6)",
    ops=("ADD", "MUL", "MUL"),
    match=_match,
    example=Form(_build, _hard_silu, exact=True),
)

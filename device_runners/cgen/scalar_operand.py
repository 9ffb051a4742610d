"""ADD, SUB and MUL with a constant of one element: a table of the results for all inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from converters.tflite.graph import Tensor
from device_runners.cgen.operation import Emission, OpContext
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN
from device_runners.cgen.tables import emit_table

_LEAST_ELEMENTS = 64
"""For fewer, a table of 256 bytes isn't worth it."""


def scalar_emission(
    context: OpContext, result: Callable[[int, int], int], low: int, high: int
) -> Emission | None:
    """A table, or None if no operand is a single constant or the output is small.

    Args:
        context: An operator of two int8 operands.
        result: What it gives for a value of each, before the clamp.
        low: Least output.
        high: Largest output.
    """
    first, second, output = context.input(0), context.input(1), context.output
    values = range(INT8_MIN, INT8_MAX + 1)
    if output.elements < _LEAST_ELEMENTS:
        return None
    if (constant := _single(second)) is not None and first.data is None:
        results = [result(x, constant) for x in values]
        source = first
    elif (constant := _single(first)) is not None and second.data is None:
        results = [result(constant, x) for x in values]
        source = second
    else:
        return None
    emission = emit_table(context, np.clip(results, low, high), source)
    return replace(emission, reason=f"a table, as {constant} is the other operand")


def _single(tensor: Tensor) -> int | None:
    """The value of a constant of one element."""
    return int(tensor.data.item()) if tensor.data is not None and tensor.elements == 1 else None

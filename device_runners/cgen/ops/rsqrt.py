"""RSQRT of inputs that are never negative (zero point -128): a table of 256 results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen.fixed_point import inverse_square_root
from device_runners.cgen.operation import OpContext
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN
from device_runners.cgen.tables import differences, table_operation

_FRACTION_BITS = 20  # of the inverse square root of an integer
_SHIFTS = range(-31, 11)  # right shifts of 32 bits; left shifts of what is below 2^20


def _to_output(context: OpContext) -> Multiplier:
    """1 / (sqrt(input scale) * output scale) from that fraction; the product is in float32."""
    root = np.sqrt(np.float32(context.input(0).scale))
    factor = quantize_multiplier(1 / float(root * np.float32(context.output.scale)))
    return Multiplier(factor.value, factor.shift - _FRACTION_BITS)


def _result(x: int, to_output: Multiplier, zero_point: int) -> int:
    if x == 0:
        return INT8_MAX
    inverse = inverse_square_root(x)
    fraction = Multiplier(inverse.value, inverse.shift + _FRACTION_BITS).apply(1)
    return to_output.apply(fraction) + zero_point


def _table(context: OpContext) -> Array:
    to_output, zero_point = _to_output(context), context.output.zero_point
    values = [_result(x, to_output, zero_point) for x in differences(context).tolist()]
    return np.array(values)


def _check(context: OpContext) -> Iterator[str]:
    zero_point = context.input(0).zero_point
    if zero_point != INT8_MIN:
        yield f"has inputs that may be negative (zero point {zero_point}): there is no square root"
    elif _to_output(context).shift not in _SHIFTS:
        yield (
            f"has the input scale {context.input(0).scale:.9g} and the output scale "
            f"{context.output.scale:.9g}, which are out of the reference's range"
        )


OP = table_operation("RSQRT", 2, _table, _check)

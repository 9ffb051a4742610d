"""HARD_SWISH: a table of 256 results.

Formula: TFLite's 16-bit fixed-point kernel, which multiplies the input in the output's scale by
(x + 3) / 6, clamped to [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import quantize_multiplier
from device_runners.cgen.operation import OpContext
from device_runners.cgen.tables import differences, table_operation

_INT16_MIN, _INT16_MAX = -(2**15), 2**15 - 1
_SHIFT_LIMIT = 15
"""Right shifts of 16-bit values."""


@dataclass(frozen=True)
class _Factor:
    """``value * 2**(exponent - 15)``, ``value`` of 16 bits."""

    value: int
    exponent: int


def _factor(ratio: np.float32) -> _Factor:
    multiplier = quantize_multiplier(float(ratio))
    return _Factor(min((multiplier.value + (1 << 15)) >> 16, _INT16_MAX), multiplier.shift)


def _factors(context: OpContext) -> tuple[_Factor, _Factor]:
    """To the output's scale, and to the scale in which 3 is 2^15; both from 1/128 of the input's.

    The reference computes the quotients in float32.
    """
    fine = np.float32(1 / 128) * np.float32(context.input(0).scale)
    reluish = np.float32(3) / np.float32(32768)
    return _factor(fine / np.float32(context.output.scale)), _factor(fine / reluish)


def _saturate(x: int) -> int:
    return min(max(x, _INT16_MIN), _INT16_MAX)


def _high_mul(a: int, b: int) -> int:
    """``a * b / 2**15`` to the nearest integer, ties towards positive infinity."""
    product = a * b
    magnitude = (abs(product) + (1 << 14) - (product < 0)) >> 15
    # Below zero the reference adds 1 - 2^14 and truncates.
    return magnitude if product >= 0 else -magnitude


def _rounding_shift(x: int, bits: int) -> int:
    """``x / 2**bits`` to the nearest integer, ties away from zero."""
    return x if bits == 0 else (x + (1 << (bits - 1)) - (x < 0)) >> bits


def _wrap(x: int) -> int:
    """What is left of a sum in 16 bits."""
    return (x - _INT16_MIN) % 2**16 + _INT16_MIN


def _hard_swish(x: int, to_output: _Factor, to_reluish: _Factor) -> int:
    fine = x << 7
    preshift = _high_mul(fine, to_output.value)
    reluish, left = fine, to_reluish.exponent
    if left > 0:
        reluish = _saturate(reluish << (left - 1))
    reluish = _high_mul(reluish, to_reluish.value)
    if left > 0:
        reluish = _saturate(reluish << 1)
    elif left < 0:
        reluish = _rounding_shift(reluish, -left)
    gate = (reluish + (1 << 15)) >> 1
    product = gate * preshift
    truncated = abs(product) >> 15
    return _rounding_shift(truncated if product >= 0 else -truncated, -to_output.exponent)


def _table(context: OpContext) -> Array:
    factors = _factors(context)
    zero_point = context.output.zero_point
    values = differences(context).tolist()
    return np.array([_wrap(_hard_swish(x, *factors) + zero_point) for x in values])


def _check(context: OpContext) -> Iterator[str]:
    to_output, to_reluish = _factors(context)
    if not -_SHIFT_LIMIT <= to_output.exponent <= 0 or to_reluish.exponent < -_SHIFT_LIMIT:
        yield (
            f"has the input scale {context.input(0).scale:.9g} and the output scale "
            f"{context.output.scale:.9g}, which are out of the reference's range"
        )


OP = table_operation("HARD_SWISH", 1, _table, _check)

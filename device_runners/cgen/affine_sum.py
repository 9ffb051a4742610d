"""ADD or SUB as one affine function, searched ahead of time and verified on every pair of operands.

The reference brings both operands to a common scale and the sum to the output's, with a rounding
each. ``(a * f1 + b * f2 + addend) >> shift`` has enough digits to give the same int8 everywhere,
with factors near the real ones; which ones do is tried out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt

from converters.tflite.multiplier import Multiplier
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN

_LEFT_SHIFT = 20  # of the reference
_INT32_LIMIT = 1 << 31
_SHIFTS = range(23, 17, -1)
_TRIED_SHIFTS = 2
# Where scales are simple fractions, sums are often half-way: then the factors have to lean.
_NEIGHBOURS = range(-8, 9)

_Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AffineSum:
    """``(a * factors[0] + b * factors[1] + addend) >> shift``, clamped to int8."""

    factors: tuple[int, int]
    addend: int
    shift: int


@lru_cache(maxsize=256)
def affine_sum(
    first: Multiplier,
    second: Multiplier,
    output: Multiplier,
    zero_points: tuple[int, int, int],
    sign: int = 1,
) -> AffineSum | None:
    """The affine function that equals ADD or SUB on all 65,536 pairs of int8 operands, or None.

    Args:
        first: To the common scale.
        second: To the common scale.
        output: From the common scale to the output's.
        zero_points: Of both operands and of the output.
        sign: Of the second operand: 1 for ADD, -1 for SUB.
    """
    values = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64)
    expected = _reference(values, (first, second, output), zero_points, sign)
    to_output = _real(output) * (1 << _LEFT_SHIFT)
    real = [_real(each) * to_output for each in (first, second)]
    # Operands and the result before the clamp: what 32 bits have to hold.
    largest = max(128 * sum(real), 128 * max(real) + 256) + 1
    signed = real[0], sign * real[1]
    shifts = [shift for shift in _SHIFTS if largest * (1 << shift) < _INT32_LIMIT]
    for shift in shifts[:_TRIED_SHIFTS]:
        found = _search(values, expected, [each * (1 << shift) for each in signed], shift)
        if found is not None:
            return found
    return None


def _search(
    values: _Int64s, expected: _Int64s, real: Sequence[float], shift: int
) -> AffineSum | None:
    """Tries the factors around the real ones."""
    for offsets in sorted(product(_NEIGHBOURS, repeat=2), key=lambda o: abs(o[0]) + abs(o[1])):
        factors = round(real[0]) + offsets[0], round(real[1]) + offsets[1]
        sums = values[:, None] * factors[0] + values * factors[1]
        addend = _addend(sums, values * factors[0], expected, shift)
        if addend is not None:
            return AffineSum(factors, addend, shift)
    return None


def _real(multiplier: Multiplier) -> float:
    return float(np.ldexp(multiplier.value, multiplier.shift - 31))


def _addend(sums: _Int64s, partial: _Int64s, expected: _Int64s, shift: int) -> int | None:
    """What has to be added, so that every shifted sum is what is expected after the clamp."""
    one = 1 << shift
    at_least = expected * one - sums
    least = at_least[expected > INT8_MIN].max(initial=-_INT32_LIMIT)
    most = (at_least + one - 1)[expected < INT8_MAX].min(initial=_INT32_LIMIT)
    addend = int(least + most) // 2
    largest = max(np.abs(sums + addend).max(), np.abs(partial + addend).max())
    return addend if least <= most and largest < _INT32_LIMIT else None


def _reference(
    values: _Int64s,
    multipliers: tuple[Multiplier, Multiplier, Multiplier],
    zero_points: tuple[int, int, int],
    sign: int,
) -> _Int64s:
    """ADD or SUB of all pairs, [256, 256], clamped to int8."""
    scaled = [
        _apply((values - zero_point) << _LEFT_SHIFT, multiplier)
        for multiplier, zero_point in zip(multipliers[:2], zero_points[:2], strict=True)
    ]
    result = _apply(scaled[0][:, None] + sign * scaled[1], multipliers[2]) + zero_points[2]
    return np.clip(result, INT8_MIN, INT8_MAX)


def _apply(x: _Int64s, multiplier: Multiplier) -> _Int64s:
    """``Multiplier.apply`` for arrays of int32 values."""
    left, right = max(multiplier.shift, 0), max(-multiplier.shift, 0)
    high = ((x << left) * multiplier.value + (1 << 30)) >> 31
    if right == 0:
        return high
    return (high + (1 << (right - 1)) - (high < 0)) >> right

"""A change of scale as one affine function, searched ahead of time and verified on every input.

The reference subtracts a zero point, multiplies with two roundings, adds a zero point and clamps.
``(x * factor + addend) >> shift``, clamped, has enough digits to give the same int8 everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from device_runners.cgen.requantization import INT8_MAX, INT8_MIN

_INT32_LIMIT = 1 << 31
_SHIFTS = range(24, -1, -1)
# Where the ratio of scales is a simple fraction, results are often half-way: the factor leans.
_NEIGHBOURS = sorted(range(-8, 9), key=abs)

_Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AffineScale:
    """``(x * factor + addend) >> shift``, to be clamped."""

    factor: int
    addend: int
    shift: int

    def apply(self, x: _Int64s) -> _Int64s:
        """The results before the clamp."""
        results: _Int64s = (x * self.factor + self.addend) >> self.shift
        return results


def affine_scale(ratio: float, expected: _Int64s, low: int, high: int) -> AffineScale | None:
    """The affine function that gives what is expected, or None.

    Args:
        ratio: About what an output step is for an input step.
        expected: (256,) int64: the clamped results for the inputs -128 ... 127.
        low: The least result.
        high: The largest.
    """
    values = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64)
    largest = 128 * ratio + 256
    shifts = [shift for shift in _SHIFTS if largest * (1 << shift) < _INT32_LIMIT]
    for shift in shifts[:2]:
        for offset in _NEIGHBOURS:
            factor = round(ratio * (1 << shift)) + offset
            addend = _addend(values * factor, expected, (low, high), 1 << shift)
            if addend is not None:
                return AffineScale(factor, addend, shift)
    return None


def _addend(products: _Int64s, expected: _Int64s, ends: tuple[int, int], one: int) -> int | None:
    """What has to be added, so that every shifted product is what is expected after the clamp."""
    at_least = expected * one - products
    least = int(at_least[expected > ends[0]].max(initial=-_INT32_LIMIT))
    most = int((at_least + one - 1)[expected < ends[1]].min(initial=_INT32_LIMIT))
    addend = (least + most) // 2
    fits = max(abs(addend), int(np.abs(products + addend).max())) < _INT32_LIMIT
    return addend if least <= most and fits else None

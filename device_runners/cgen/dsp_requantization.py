"""Requantization in as few instructions as the DSP extension allows, proven ahead of time.

The reference rounds twice. Both forms below give the same int8 for every accumulator that a
channel can reach; where neither can be proven to, the layer takes its portable kernel.

- *floor*, for an output range of -128 to 127 with the zero point -128 (a ReLU before it):
  ``ssat8(((x + d) * multiplier + addend * 2**32) >> (32 + shift))``, SMMLA and SSAT. Results above
  the zero point come from positive products, for which two roundings are one floor of
  ``x * m + 2**30 + 2**(30 + e)``. Its low half does not fit the instruction: d, which goes into the
  bias, and the addend are searched so that all 255 thresholds stay where they are.
- *fixed*, the same with a shift that is part of the instruction: the multiplier has fewer digits,
  which are searched too.
- *once*, the floor form of sums that are scaled, for any zero point: at factors of 1/2 and more the
  reference rounds once.
- *rounded*, for any zero point: SMMLAR with ``2 m - 2**32`` is the rounding doubling high multiply
  of the reference for every x; then ``(high + addend - [x < 0]) >> shift`` and SSAT.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from converters.tflite.multiplier import Multiplier
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN

FIXED_SHIFT = 4
"""The shift of the fixed form, for B of a pair; A's is larger by 8."""
INT4_FIXED_SHIFT = 0
"""The same for weights of four bits, whose scales are about 16 times as large."""

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1
_LARGEST_SHIFT = 22
_MOST_DROPPED = 9  # digits of a multiplier; then it has too few
_SEARCHED_OFFSETS = 1 << 15
_STEPS = INT8_MAX - INT8_MIN  # thresholds of an int8 output


@dataclass(frozen=True)
class Constants:
    """The constants of one channel in one form.

    Attributes:
        multiplier: Second operand of the high multiplication.
        addend: Addend of the form.
        shift: The right shift at the end, at most 23.
        offset: What is added to the bias (the d of the floor form).
    """

    multiplier: int
    addend: int
    shift: int
    offset: int = 0


@dataclass(frozen=True)
class Requantizer:
    """What is known about one channel. A form that is None can't be proven exact.

    Attributes:
        fixed: Constants of the fixed form.
        floor: Constants of the floor form.
        rounded: Constants of the rounded form.
        constant: Whether the output never changes; then accumulators have to be 0.
        once: Constants of the floor form for scaled sums, where the reference rounds once.
    """

    fixed: Constants | None
    floor: Constants | None
    rounded: Constants | None
    constant: bool = False
    once: Constants | None = None


def requantizer(
    multiplier: Multiplier,
    low: int,
    high: int,
    zero_point: int,
    output_min: int,
    output_max: int,
    fixed_shift: int = FIXED_SHIFT,
    scale_bits: int = 0,
) -> Requantizer:
    """Finds the forms for a channel whose accumulator lies in [low, high].

    The clamp to [output_min, output_max] is left to the caller unless it is that of int8; the floor
    form is given only if it is.
    """
    ends = [_clamped(multiplier.apply(x) + zero_point) for x in (low, high)]
    if ends[0] == ends[1]:
        return Requantizer(
            Constants(2**30, ends[0] << fixed_shift, fixed_shift),
            Constants(2**30, ends[0], 0),
            Constants(-(2**31), ends[0] * 2, 1),
            constant=True,
        )
    exponent = -multiplier.shift
    if not 1 <= exponent <= _LARGEST_SHIFT:
        return Requantizer(None, None, None, once=_once(multiplier, zero_point, scale_bits))
    whole = (output_min, output_max) == (INT8_MIN, INT8_MAX)
    fixed = floor = None
    if whole and zero_point == INT8_MIN:
        fixed = _fixed(multiplier.value, exponent, fixed_shift)
        floor = _floor(multiplier.value, exponent)
    return Requantizer(fixed, floor, _rounded(multiplier, exponent, low, high, zero_point))


def _once(multiplier: Multiplier, zero_point: int, scale_bits: int) -> Constants | None:
    """For factors of 1/2 and more: ``floor(x * 2**shift * m / 2**31 + 1 / 2) + zero point``, as
    ``((x * 2**scale_bits * m + addend * 2**32) >> 32) >> (scale_bits - 1 - shift)``."""
    right = scale_bits - 1 - multiplier.shift
    if multiplier.shift < 0 or right < 1:
        return None
    return Constants(multiplier.value, (zero_point << right) + (1 << (right - 1)), right)


def _clamped(value: int) -> int:
    return min(max(value, INT8_MIN), INT8_MAX)


def _rounded(
    multiplier: Multiplier, exponent: int, low: int, high: int, zero_point: int
) -> Constants | None:
    addend = (1 << (exponent - 1)) + (zero_point << exponent)
    products = [Multiplier(multiplier.value, 0).apply(x) for x in (low, high)]
    if min(products) + addend - 1 < _INT32_MIN or max(products) + addend > _INT32_MAX:
        return None
    return Constants(2 * multiplier.value - 2**32, addend, exponent)


@lru_cache(maxsize=4096)
def _floor(value: int, exponent: int) -> Constants | None:
    """Searches (d, addend) with the smallest |d|.

    Output step q (1 to 255) begins at the smallest x with ``x * m >= T(q)``, where
    ``T(q) = q * 2**(31 + e) - 2**(30 + e) - 2**30``. With d and addend T moves by ``error``; no
    threshold moves while ``-f <= error < m - f`` for all distances f from T(q) up to a multiple of
    m.
    """
    rounding = (1 << (30 + exponent)) + (1 << 30)
    distances = [-((q << (31 + exponent)) - rounding) % value for q in range(1, _STEPS + 1)]
    least, most = -min(distances), value - 1 - max(distances)
    offsets = np.arange(-_SEARCHED_OFFSETS, _SEARCHED_OFFSETS + 1, dtype=np.int64)
    missing = rounding - offsets * value
    addends = (missing + (1 << 31)) >> 32
    errors = (addends << 32) - missing
    fits = np.flatnonzero((errors >= least) & (errors <= most))
    if fits.size == 0:
        return None
    best = int(fits[np.argmin(np.abs(offsets[fits]))])
    addend = int(addends[best]) - (1 << (exponent - 1)) * -INT8_MIN
    return Constants(value, addend, exponent - 1, int(offsets[best]))


@lru_cache(maxsize=4096)
def _fixed(value: int, exponent: int, shift: int) -> Constants | None:
    """Searches (multiplier, d, addend) with the smallest |d| for the first multiplier that fits.

    With X(q) the least x of output step q, ``c = addend * 2**32 + d * m`` has to lie in
    ``q * S - m * X(q) <= c < q * S - m * (X(q) - 1)`` for every q, with ``S = 2**(32 + shift)``.
    """
    digits = exponent - 1 - shift
    if not 0 <= digits <= _MOST_DROPPED:
        return None
    rounding = (1 << (30 + exponent)) + (1 << 30)
    steps = np.arange(1, _STEPS + 1, dtype=np.int64)
    least_inputs = -((rounding - (steps << (31 + exponent))) // value)
    offsets = np.arange(-_SEARCHED_OFFSETS, _SEARCHED_OFFSETS + 1, dtype=np.int64)
    for multiplier in ((value >> digits) + n for n in (0, 1, -1)):
        if multiplier >= 1 << 31:
            continue
        ends = (steps << (32 + shift)) - multiplier * least_inputs
        low, high = int(ends.max()), int(ends.min()) + multiplier - 1
        addends = -((offsets * multiplier - low) >> 32)
        sums = (addends << 32) + offsets * multiplier
        fits = np.flatnonzero((sums >= low) & (sums <= high))
        if fits.size:
            best = int(fits[np.argmin(np.abs(offsets[fits]))])
            addend = int(addends[best]) + (INT8_MIN << shift)
            return Constants(multiplier, addend, shift, int(offsets[best]))
    return None

"""Pairs of output channels in the bytes of one weight word, for the kernels of level ``dsp``.

A 16-bit lane holds ``256 wA + wB``: the weights of two channels, so that the raw word goes straight
into SMLAD and gives ``R = 256 A + B``; SXTB16 of the word and SMLAD give B, and ``R - B`` is A,
scaled by 256. Arithmetic is modulo 2**32, so that this is exact if A fits 24 bits, whatever B is.

Lanes follow SXTB16 of four inputs x0 to x3: a word of (x0, x2), then one of (x1, x3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.dsp_requantization import FIXED_SHIFT, Constants, Requantizer, requantizer
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN

Int64s = npt.NDArray[np.int64]


_FIRST_LIMIT = 1 << 23  # A fits 24 bits
_PRESCALE_BITS = 8
ADDEND_LIMIT = 1 << 30
_POSITION_BIT = 8
# In the third word of a record; a shift that is not part of an instruction is slow.
SLOW_FLAG = -(1 << 31)
ROUNDED_FLAG = SLOW_FLAG + (1 << 30)


@dataclass(frozen=True, eq=False)
class Channel:
    """An output channel.

    Attributes:
        position: Its place among the outputs of a pixel.
        weights: (depth,) int8.
        bias: What the accumulator starts with, the input's zero point folded in.
        low: Least accumulator.
        high: Largest accumulator.
        requantizer: Its requantization.
    """

    position: int
    weights: Int64s
    bias: int
    low: int
    high: int
    requantizer: Requantizer


@dataclass(frozen=True, eq=False)
class Pair:
    """Two channels as a kernel reads them: int32 words.

    Attributes:
        start: (2,) initial R and B.
        weights: (depth / 2,).
        record: (6,) multiplier, addend, shift + 256 * position of A, then of B. Flags in the third
            word say which form the pair takes.
    """

    start: Array
    weights: Array
    record: Array

    @property
    def words(self) -> Array:
        """Everything in the order of a kernel that works pair by pair."""
        return np.concatenate([self.weights[:2], self.start, self.weights[2:], self.record])

    @property
    def fixed(self) -> bool:
        """Whether it takes the fixed form, if the kernel has that."""
        return bool(self.record[2] >= 0)


def channels(
    weights: Array,
    bias: Array | None,
    multipliers: Sequence[Multiplier],
    zero_points: tuple[int, int],
    output_range: tuple[int, int],
    depth: int,
    fixed_shift: int = FIXED_SHIFT,
    scale_bits: int = 0,
) -> list[Channel] | None:
    """The channels of a layer, or None if one of them has no form that is proven exact.

    Args:
        weights: (channels, taps) int8, symmetric.
        bias: (channels,) int32 or None.
        multipliers: One a channel.
        zero_points: The input's and the output's.
        output_range: The clamp of the fused activation.
        depth: Taps, rounded up as the kernel wants them; the new ones have weight 0.
        fixed_shift: The kernel's shift of the fixed form.
        scale_bits: How far the kernel scales its sums.
    """
    w = weights.astype(np.int64)
    starts = np.zeros(len(w), np.int64) if bias is None else bias.astype(np.int64)
    ends = np.stack([w * (INT8_MIN - zero_points[0]), w * (INT8_MAX - zero_points[0])])
    lows, highs = starts + ends.min(0).sum(1), starts + ends.max(0).sum(1)
    folded = starts - zero_points[0] * w.sum(1)
    padded = np.pad(w, ((0, 0), (0, depth - w.shape[1])))
    result = []
    for position, multiplier in enumerate(multipliers):
        low, high = int(lows[position]), int(highs[position])
        rest = (zero_points[1], *output_range, fixed_shift, scale_bits)
        form = requantizer(multiplier, low, high, *rest)
        if form == Requantizer(None, None, None):
            return None
        channel = Channel(position, padded[position], int(folded[position]), low, high, form)
        if form.constant:
            channel = replace(channel, weights=padded[position] * 0, bias=0, low=0, high=0)
        result.append(channel)
    return result


def pairs(of: Sequence[Channel], fixed: bool = True) -> list[Pair]:
    """Pairs neighbours; one that fits no neighbour gets a partner that computes nothing.

    Args:
        of: The channels.
        fixed: Whether the kernel has the fixed form; otherwise the floor form has no flag.
    """
    result = []
    for index in range(0, len(of), 2):
        both = of[index : index + 2]
        pair = None
        if len(both) == 2:
            pair = _pair(both[0], both[1], fixed) or _pair(both[1], both[0], fixed)
        result += [pair] if pair else [_alone(channel, fixed) for channel in both]
    return result


def _alone(channel: Channel, fixed: bool) -> Pair:
    # A is stored before B, at the same place.
    nothing = requantizer(Multiplier(0, 0), 0, 0, 0, INT8_MIN, INT8_MAX)
    partner = Channel(channel.position, channel.weights * 0, 0, 0, 0, nothing)
    pair = _pair(partner, channel, fixed)
    assert pair is not None
    return pair


def _pair(first: Channel, second: Channel, fixed: bool) -> Pair | None:
    """A pair with ``first`` as A, or None."""
    if first.weights.min() == INT8_MIN:  # 256 wA + wB would not fit 16 bits
        return None
    for a, b, flag in _forms(first.requantizer, second.requantizer, fixed):
        if not -_FIRST_LIMIT <= first.low + a.offset <= first.high + a.offset < _FIRST_LIMIT:
            continue
        start_b = second.bias + b.offset
        start = [256 * (first.bias + a.offset) + start_b, start_b]
        record = [a.multiplier, a.addend, last_word(a, first) + flag]
        record += [b.multiplier, b.addend, last_word(b, second)]
        lanes = 256 * first.weights + second.weights
        return Pair(int32_words(start), lane_words(lanes), int32_words(record))
    return None


def _forms(
    one: Requantizer, two: Requantizer, fixed: bool
) -> Iterator[tuple[Constants, Constants, int]]:
    """Forms that both channels have, the fastest first, as constants of A and B and flags."""
    if fixed and one.fixed and two.fixed:
        yield _prescaled(one.fixed), two.fixed, 0
    if one.floor and two.floor and abs(one.floor.addend) << _PRESCALE_BITS <= ADDEND_LIMIT:
        yield _prescaled(one.floor), two.floor, SLOW_FLAG if fixed else 0
    if one.rounded and two.rounded:
        yield one.rounded, two.rounded, ROUNDED_FLAG


def _prescaled(constants: Constants) -> Constants:
    """For 256 A."""
    return replace(
        constants,
        addend=constants.addend << _PRESCALE_BITS,
        shift=constants.shift + _PRESCALE_BITS,
    )


def last_word(constants: Constants, channel: Channel) -> int:
    """The third word of a record, but for flags."""
    return constants.shift + (channel.position << _POSITION_BIT)


def lane_words(lanes: Int64s) -> Array:
    """(depth / 2,) int32 words of (depth,) lanes: of taps 0 and 2, then of 1 and 3."""
    quads = lanes.reshape(-1, 4) & 0xFFFF
    words = np.stack([quads[:, 0] | quads[:, 2] << 16, quads[:, 1] | quads[:, 3] << 16], axis=1)
    result: Array = words.ravel().astype(np.uint32).view(np.int32)
    return result


def int32_words(values: Sequence[int] | Int64s) -> Array:
    """Values modulo 2**32 as int32."""
    return np.array([int(value) & 0xFFFFFFFF for value in values], np.uint32).view(np.int32)

"""Pairs of output channels whose weights have four bits, for the kernels of level ``dsp``.

A word holds four taps of both channels: from its lowest nibble A0, B0, A1, B1, A2, B2, A3, B3. A
mask moves the nibbles of taps 0 and 2, or 1 and 3, of one channel to the tops of two halves, so
that SMLAD with two inputs adds to a sum that is scaled by 2**12; the kernel for larger sums takes
them out as bytes, scaled by 2**4. Arithmetic is modulo 2**32, so that both are exact if the whole
sum fits what the scale leaves of 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.dsp_pairs import (
    ADDEND_LIMIT,
    ROUNDED_FLAG,
    SLOW_FLAG,
    Channel,
    Int64s,
    int32_words,
    lane_words,
    last_word,
)
from device_runners.cgen.dsp_requantization import Constants, Requantizer, requantizer
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN

NARROW_BITS = 12
"""Scale of the sums that fit 20 bits."""
WIDE_BITS = 4
"""Scale of those that fit 28."""

_TAPS = 4  # of a word
_SHIFTS = np.array([[0, 8, 16, 24], [4, 12, 20, 28]])  # of A's nibbles and of B's


@dataclass(frozen=True, eq=False)
class NibblePair:
    """Two channels as a kernel reads them: int32 words.

    Attributes:
        start: (2,) initial A and B.
        weights: (2, depth) those of A and of B.
        record: (6,) as of ``dsp_pairs.Pair``.
    """

    start: Array
    weights: Int64s
    record: Array

    @property
    def words(self) -> Array:
        """Everything in the order of a kernel that works pair by pair."""
        nibbles = self.weights.reshape(2, -1, _TAPS) & 0xF
        weights = int32_words((nibbles << _SHIFTS[:, None]).sum((0, 2)))
        return np.concatenate([weights[:1], self.start, weights[1:], self.record])

    @property
    def fixed(self) -> bool:
        """Whether it takes the fixed form."""
        return bool(self.record[2] >= 0)


def nibble_pairs(
    of: Sequence[Channel], scale_bits: int, fixed: bool = True
) -> list[NibblePair] | None:
    """Pairs neighbours; one that fits no neighbour gets a partner that computes nothing.

    Args:
        of: The channels, with weights from -8 to 7.
        scale_bits: Of the sums.
        fixed: Whether the kernel has the fixed form; otherwise the floor form has no flag.

    Returns:
        The pairs, or None if a channel's sum may be too large for the scale.
    """
    result: list[NibblePair] = []
    for index in range(0, len(of), 2):
        both = of[index : index + 2]
        pair = _pair(both[0], both[1], scale_bits, fixed) if len(both) == 2 else None
        alone = [pair] if pair else [_pair(_nothing(c), c, scale_bits, fixed) for c in both]
        for found in alone:
            if found is None:
                return None
            result.append(found)
    return result


def _nothing(channel: Channel) -> Channel:
    """A channel that is stored at the same place, but before."""
    form = requantizer(Multiplier(0, 0), 0, 0, 0, INT8_MIN, INT8_MAX)
    return Channel(channel.position, channel.weights * 0, 0, 0, 0, form)


def _pair(first: Channel, second: Channel, scale_bits: int, fixed: bool) -> NibblePair | None:
    limit = 1 << (31 - scale_bits)
    for a, b, flag in _forms(first.requantizer, second.requantizer, scale_bits, fixed):
        sums = [
            end + constants.offset
            for channel, constants in ((first, a), (second, b))
            for end in (channel.low, channel.high)
        ]
        if min(sums) < -limit or max(sums) >= limit:
            continue
        start = [(c.bias + form.offset) << scale_bits for c, form in ((first, a), (second, b))]
        record = [a.multiplier, a.addend, last_word(a, first) + flag]
        record += [b.multiplier, b.addend, last_word(b, second)]
        weights = np.stack([first.weights, second.weights])
        return NibblePair(int32_words(start), weights, int32_words(record))
    return None


def _forms(
    one: Requantizer, two: Requantizer, scale_bits: int, fixed: bool
) -> Iterator[tuple[Constants, Constants, int]]:
    """Forms that both channels have, the fastest first, and their flags."""
    if fixed and one.fixed and two.fixed:
        yield _scaled(one.fixed, scale_bits), _scaled(two.fixed, scale_bits), 0
    floors = _floor(one, scale_bits), _floor(two, scale_bits)
    if floors[0] and floors[1]:
        yield floors[0], floors[1], SLOW_FLAG if fixed else 0
    if one.rounded and two.rounded:
        yield one.rounded, two.rounded, ROUNDED_FLAG


def _floor(form: Requantizer, scale_bits: int) -> Constants | None:
    """The floor form for scaled sums; both channels of a pair have a shift of their own in it."""
    if form.floor is None:
        return form.once
    fits = abs(form.floor.addend) << scale_bits <= ADDEND_LIMIT
    return _scaled(form.floor, scale_bits) if fits else None


def _scaled(constants: Constants, bits: int) -> Constants:
    """For a sum that is scaled by 2**bits."""
    return replace(constants, addend=constants.addend << bits, shift=constants.shift + bits)


def four_channel_words(pairs: tuple[NibblePair, NibblePair]) -> Array:
    """(depth / 2,) int32: two taps of four channels a word, for the dense kernel.

    Lanes are those of the module ``dsp_pairs``; from the lowest nibble on, three channels have
    their weights + 8, the last one its weights as they are.
    """
    weights = np.concatenate([pair.weights for pair in pairs])
    weights[:-1] += 8
    lanes = ((weights & 0xF) << np.array([[0], [4], [8], [12]])).sum(0)
    return lane_words(lanes)

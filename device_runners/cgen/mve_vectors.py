"""Weights of convolutions and dense layers as the vectors of the kernels of level ``mve``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converters.tflite.graph import Array
from device_runners.cgen.checks import accumulator_bounds
from device_runners.cgen.convolution import bias_values
from device_runners.cgen.operation import OpContext
from device_runners.cgen.requantization import INT8_MIN

VECTOR = 16
"""Bytes, each for one tap."""

_PAIR_LIMIT = 1 << 27


@dataclass(frozen=True, eq=False)
class Vectors:
    """The weights of a layer.

    Attributes:
        starts: (channels,) int32: what the kernel's sums start from.
        words: (channels / width, taps / 16, 4) int32.
        width: Channels of a vector.
    """

    starts: Array
    words: Array
    width: int

    @property
    def depth(self) -> int:
        """Taps, the ones that fill up the last vector included."""
        return int(self.words.shape[1]) * VECTOR

    def group(self, first: int, channels: int, size: int) -> Array:
        """What a group of channels needs for its sums; those that are missing are zeros.

        Args:
            first: Its first channel.
            channels: How many there are.
            size: Channels of a whole group.

        Returns:
            Starts, then tap by tap a vector of each row: int32 words.
        """
        starts = self.starts[first : first + channels]
        rows = self.words[first // self.width : -(-(first + channels) // self.width)]
        missing = size // self.width - len(rows)
        by_tap = np.pad(rows, ((0, missing), (0, 0), (0, 0))).transpose(1, 0, 2)
        words: Array = np.concatenate([np.pad(starts, (0, size - len(starts))), by_tap.ravel()])
        return words


@dataclass(frozen=True)
class Bits:
    """How kernels have their weights.

    Attributes:
        infix: What their names have for it.
        width: Channels of a vector.
        vectors: Makes the vectors of (channels, taps) int8; None where they would not be exact.
    """

    infix: str
    width: int
    vectors: Callable[[OpContext, Array], Vectors | None]


def _bytes(context: OpContext, weights: Array) -> Vectors:
    return Vectors(folded_bias(context, weights), _vectors(weights), 1)


def _nibbles(context: OpContext, weights: Array) -> Vectors | None:
    """A byte is 16 A + B: for -8 of A, B must not be negative. Sums have to fit 28 bits."""
    bounds = accumulator_bounds(weights, context.input(0).zero_point, bias_values(context))
    even = np.pad(weights.astype(np.int16), ((0, len(weights) % 2), (0, 0)))
    pairs = 16 * even[0::2] + even[1::2]
    if pairs.min() < INT8_MIN or bounds.max() >= _PAIR_LIMIT:
        return None
    bias = np.pad(folded_bias(context, weights).astype(np.int64), (0, len(weights) % 2))
    starts = 16 * bias
    starts[0::2] += bias[1::2]
    return Vectors(_int32(starts)[: len(weights)], _vectors(pairs), 2)


EIGHT_BITS = Bits("", 1, _bytes)
"""Weights of a byte."""
FOUR_BITS = Bits("int4_", 2, _nibbles)
"""Weights from -8 to 7."""


def folded_bias(context: OpContext, weights: Array) -> Array:
    """(channels,) int32, modulo 2**32: the bias, the input's zero point folded in."""
    bias = bias_values(context)
    start = 0 if bias is None else bias.astype(np.int64)
    return _int32(start - context.input(0).zero_point * weights.astype(np.int64).sum(axis=1))


def _int32(values: Array) -> Array:
    """Modulo 2**32."""
    result: Array = (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return result


def _vectors(weights: Array) -> Array:
    """(channels, vectors, 4) int32: 16 taps a vector, the missing ones of weight 0."""
    count, taps = weights.shape
    padded = np.ascontiguousarray(np.pad(weights, ((0, 0), (0, -taps % VECTOR))), np.int8)
    words: Array = padded.view("<i4").reshape(count, -1, VECTOR // 4)
    return words

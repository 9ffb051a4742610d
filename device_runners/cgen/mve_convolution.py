"""The kernels of level ``mve`` for convolutions and dense layers: packing and scratch.

Requantization is that of the reference in vector instructions: VQRDMULH is its rounding doubling
high multiply, VRSHL its rounding shift but for halves below zero, which are corrected where they
can be told from the output (``ties``). It is exact for every accumulator as long as no multiplier
shifts to the left, so that nothing is searched.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.choice import Packed
from device_runners.cgen.convolution import (
    activation_of,
    channel_multipliers,
    rows_as_window,
    window_params,
)
from device_runners.cgen.mve_vectors import EIGHT_BITS, VECTOR, Bits, Vectors
from device_runners.cgen.operation import ConstantArray, KernelCall, OpContext, Symbol
from device_runners.cgen.optimize import Optimize
from device_runners.cgen.requantization import activation_range

_CONV_CHANNELS = 4
_ROW_CHANNELS = 8
# Multipliers, then shifts, of channels 0, 2, 4, 6 and of 1, 3, 5, 7.
_ROW_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
_LARGEST_SHIFT = 31
_STRIP_BYTES = 2048
"""Strips of a row get no longer than this, but for that of two windows."""
_SMALL_BYTES = 1024
"""Packed weights up to this size may be more than twice the model's."""


def conv_2d_mve(context: OpContext, bits: Bits = EIGHT_BITS) -> Packed | None:
    """A call of ``tidepool_conv_2d_mve`` for a CONV_2D of one group.

    Args:
        context: The operator.
        bits: How the kernel has its weights.

    Returns:
        The call; None if it would not be exact, or if the weights would grow much.
    """
    weights = context.data(1)
    return two_windows(context, window_params(context, *weights.shape[1:3]), weights, bits)


def two_windows(
    context: OpContext, window: dict[str, int], weights: Array, bits: Bits = EIGHT_BITS
) -> Packed | None:
    """The same for any window and its weights.

    Args:
        context: The operator.
        window: Fields of ``tidepool_window``.
        weights: (channels, height, width, depth) int8.
        bits: How the kernel has its weights.
    """
    count = len(weights)
    # A strip holds columns of the image.
    taps = weights.transpose(0, 2, 1, 3).reshape(count, -1)
    return _pairs_of_pixels(context, window, taps, channel_multipliers(context, count), bits)


def dense_as_pairs(
    context: OpContext, multipliers: Sequence[Multiplier], bits: Bits = EIGHT_BITS
) -> Packed | None:
    """A call of ``tidepool_conv_2d_mve`` for any number of rows: each is a pixel.

    Args:
        context: The operator; its weights have the zero point 0.
        multipliers: One a channel.
        bits: How the kernel has its weights.

    Returns:
        The call; None if it would not be exact, or if the weights would grow much.
    """
    count, taps = context.data(1).shape
    window = rows_as_window(context.input(0).elements // taps, taps, count)
    return _pairs_of_pixels(context, window, context.data(1), multipliers, bits)


def dense_mve(
    context: OpContext, multipliers: Sequence[Multiplier], bits: Bits = EIGHT_BITS
) -> Packed | None:
    """A call of ``tidepool_fully_connected_mve`` for a single row.

    Args:
        context: The operator; its weights have the zero point 0.
        multipliers: One a channel.
        bits: How the kernel has its weights.

    Returns:
        The call; None for several rows, if it would not be exact, or if the weights would grow
        much.
    """
    weights = context.data(1)
    count, taps = weights.shape
    if context.input(0).elements > taps:
        return None
    if not _fits(context, weights, multipliers, bits, _ROW_CHANNELS):
        return None
    vectors = bits.vectors(context, weights)
    if vectors is None:
        return None
    firsts = range(0, count, _ROW_CHANNELS)
    stream = [vectors.group(c, min(_ROW_CHANNELS, count - c), _ROW_CHANNELS) for c in firsts]
    same = len(set(multipliers)) == 1
    records = [
        _record(multipliers[c : c + _ROW_CHANNELS], _ROW_CHANNELS, _ROW_ORDER)
        for c in (firsts[:1] if same else firsts)
    ]
    arrays = (
        _stream_array(context, np.concatenate(stream)),
        ConstantArray(context.name("records"), "int32_t", np.concatenate(records)),
    )
    params = {
        "input_depth": taps,
        "output_depth": count,
        **output_params(context),
        "record_words": 0 if same else records[0].size,
        "stream": Symbol(arrays[0].name),
        "records": Symbol(arrays[1].name),
    }
    function = f"tidepool_fully_connected_{bits.infix}mve"
    params_type = "tidepool_fully_connected_mve_params"
    call = KernelCall(function, params_type, params, (context.input(0).index,))
    return Packed(call, arrays, 0)


def _pairs_of_pixels(
    context: OpContext,
    window: dict[str, int],
    weights: Array,
    multipliers: Sequence[Multiplier],
    bits: Bits,
) -> Packed | None:
    """A call of ``tidepool_conv_2d_mve``.

    Args:
        context: The operator.
        window: Fields of ``tidepool_window``.
        weights: (channels, taps) int8, in the kernel's order.
        multipliers: One a channel.
        bits: How the kernel has them.
    """
    if not _fits(context, weights, multipliers, bits):
        return None
    vectors = bits.vectors(context, weights)
    if vectors is None:
        return None
    depth = vectors.depth
    pixels = 0 if _in_place(window, depth) else _pixels(window)
    array = _stream_array(context, _conv_stream(vectors, multipliers))
    params = {
        "window": window,
        "input_zero_point": context.input(0).zero_point,
        **output_params(context),
        "depth": depth,
        "pixels": pixels,
        "strip_bytes": _strip_bytes(window, pixels),
        "stream": Symbol(array.name),
    }
    source = context.input(0).index
    function = f"tidepool_conv_2d_{bits.infix}mve"
    call = KernelCall(function, "tidepool_conv_2d_mve_params", params, (source,))
    return Packed(call, (array,), _scratch_bytes(window, depth, pixels))


def shifts_right(multipliers: Sequence[Multiplier]) -> bool:
    """Whether requantization in vector instructions is exact."""
    return all(-_LARGEST_SHIFT <= multiplier.shift <= 0 for multiplier in multipliers)


def _fits(
    context: OpContext,
    weights: Array,
    multipliers: Sequence[Multiplier],
    bits: Bits,
    multiple: int = 1,
) -> bool:
    """Whether the kernel is exact, and its weights are not much larger than the model's, if that
    matters.

    Args:
        context: The operator.
        weights: (channels, taps) int8.
        multipliers: One a channel.
        bits: How the kernel has its weights.
        multiple: Channels are filled up to a multiple of it.
    """
    if not shifts_right(multipliers):
        return False
    count, taps = (int(n) for n in weights.shape)
    channels = -(-count // multiple) * multiple
    packed = channels * -(-taps // VECTOR) * VECTOR // bits.width
    return grows_little(context, packed, count * taps // bits.width)


def grows_little(context: OpContext, packed: int, weights: int) -> bool:
    """Whether packed weights are not much larger than the model's, if that matters (bytes)."""
    return packed <= max(2 * weights, _SMALL_BYTES) or context.optimize is Optimize.SPEED


def _record(multipliers: Sequence[Multiplier], size: int, order: Sequence[int]) -> Array:
    """Multipliers of a group of channels, then their shifts: int32 words.

    Args:
        multipliers: One a channel; of channels that are missing they are zeros.
        size: Channels of a whole group.
        order: Of the channels.
    """
    nothing = [Multiplier(0, 0)] * (size - len(multipliers))
    of = [*multipliers, *nothing]
    words = [[of[i].value for i in order], [of[i].shift for i in order]]
    return np.array(words, np.int32).ravel()


def _conv_stream(vectors: Vectors, multipliers: Sequence[Multiplier]) -> Array:
    """Whole groups of four channels, then the others vector by vector."""
    count, width = len(multipliers), vectors.width
    whole = count // _CONV_CHANNELS * _CONV_CHANNELS
    groups = [(c, _CONV_CHANNELS) for c in range(0, whole, _CONV_CHANNELS)]
    groups += [(c, width) for c in range(whole, count, width)]
    parts = []
    for first, size in groups:
        channels = min(size, count - first)
        parts.append(vectors.group(first, channels, size))
        parts.append(_record(multipliers[first : first + channels], size, range(size)))
    stream: Array = np.concatenate(parts)
    return stream


def _stream_array(context: OpContext, stream: Array) -> ConstantArray:
    name = context.input(1).name
    return ConstantArray(context.name("stream"), "int32_t", stream, f"{name}, packed")


def output_params(context: OpContext) -> dict[str, int]:
    """The fields of a call that say how sums become results."""
    low, high = activation_range(context.output, activation_of(context))
    zero_point = context.output.zero_point
    return {
        "output_zero_point": zero_point,
        "output_min": low,
        "output_max": high,
        "ties": int(low < zero_point),
    }


def _in_place(window: dict[str, int], depth: int) -> bool:
    """Whether windows are pixels that can be read where they lie."""
    w = window
    if (w["filter_height"], w["filter_width"]) != (1, 1):
        return False
    # A convolution of one pixel has no padding; a part of a transposed one may have.
    if w["pad_top"] or w["pad_left"] or w["output_height"] > w["input_height"]:
        return False
    dense = (w["stride_height"], w["stride_width"]) == (1, 1)
    if dense and w["output_width"] != w["input_width"]:
        return False
    return dense or w["input_channels"] == depth


def _strip_bytes(window: dict[str, int], pixels: int) -> int:
    """Of the copies of some windows, and a vector more; 0 if none are copied."""
    if pixels == 0:
        return 0
    column = window["filter_height"] * window["input_channels"]
    stride, width = window["stride_width"], window["filter_width"]
    shared = window["dilation_width"] == 1 and stride <= width
    columns = (pixels - 1) * stride + width if shared else pixels * width
    return columns * column + VECTOR


def _pixels(window: dict[str, int]) -> int:
    """Windows to copy at a time: an even number, at most a row's."""
    row = window["output_width"] + window["output_width"] % 2
    fitting = [n for n in range(2, row + 1, 2) if _strip_bytes(window, n) <= _STRIP_BYTES]
    return max(fitting, default=2)


def _scratch_bytes(window: dict[str, int], depth: int, pixels: int) -> int:
    if pixels == 0:
        # The kernel always takes scratch memory, even if it leaves it alone.
        return 2 * depth if depth != window["input_channels"] else VECTOR
    padding = -(-window["input_channels"] // VECTOR) * VECTOR
    return padding + _strip_bytes(window, pixels) * (1 + window["output_width"] % 2)

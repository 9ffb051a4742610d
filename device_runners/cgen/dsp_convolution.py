"""The kernels of level ``dsp`` for convolutions and dense layers: packing and scratch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.choice import Packed
from device_runners.cgen.convolution import (
    activation_of,
    bias_values,
    channel_multipliers,
    window_params,
)
from device_runners.cgen.dsp_nibbles import NARROW_BITS, WIDE_BITS, nibble_pairs
from device_runners.cgen.dsp_pairs import Channel, channels, pairs
from device_runners.cgen.dsp_requantization import FIXED_SHIFT, INT4_FIXED_SHIFT
from device_runners.cgen.operation import ConstantArray, KernelCall, OpContext, Symbol
from device_runners.cgen.requantization import activation_range

_WORD = 4  # bytes
COLUMN_BYTES = 6
"""Three pixels' inputs of one tap, as halves."""
PATCH_BYTES = 3
"""The same as bytes."""

_ALONG = ("input_{0}", "output_{0}", "filter_{0}", "stride_{0}", "dilation_{0}", "pad_{1}")
_DIRECTIONS = (("height", "top"), ("width", "left"))


class Pairs(Protocol):
    """Two channels, packed."""

    @property
    def words(self) -> Array:
        """(n,) int32: what the kernel reads."""

    @property
    def fixed(self) -> bool:
        """Whether they take the fixed form."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that computes three pixels by two channels.

    Attributes:
        name: Its file, without ``.c``.
        fixed_shift: The shift of its fixed form.
        scale_bits: How far all its sums are scaled.
        pack: Makes pairs of channels for this scale; None if one can't be proven exact.
    """

    name: str
    fixed_shift: int
    scale_bits: int
    pack: Callable[[Sequence[Channel], int], Sequence[Pairs] | None]


EIGHT_BITS = (Kernel("conv_2d_dsp", FIXED_SHIFT, 0, lambda found, _: pairs(found)),)
"""For weights of a byte."""
FOUR_BITS = (
    Kernel("conv_2d_int4_dsp", INT4_FIXED_SHIFT, NARROW_BITS, nibble_pairs),
    Kernel("conv_2d_int4_wide_dsp", INT4_FIXED_SHIFT, WIDE_BITS, nibble_pairs),
)
"""For weights from -8 to 7; the first one that is exact is taken."""


def conv_2d_dsp(context: OpContext, kernels: Sequence[Kernel] = EIGHT_BITS) -> Packed | None:
    """A call of one of the kernels for a CONV_2D of one group.

    Returns:
        The call; None if a channel can't be proven exact.
    """
    weights = context.data(1)
    return three_windows(context, window_params(context, *weights.shape[1:3]), weights, kernels)


def three_windows(
    context: OpContext,
    window: dict[str, int],
    weights: Array,
    kernels: Sequence[Kernel] = EIGHT_BITS,
) -> Packed | None:
    """A call of the first kernel that is exact, for any window and its weights.

    Args:
        context: The operator.
        window: Fields of ``tidepool_window``.
        weights: (channels, height, width, depth) int8.
        kernels: Those to try.
    """
    count, filter_height, filter_width, channels = weights.shape
    row = filter_width * channels
    rows = weights.reshape(count, filter_height, row)
    cut = row // _WORD * _WORD
    # Whole words of each row, then what is left of all rows.
    taps = [part.reshape(count, -1) for part in (rows[:, :, :cut], rows[:, :, cut:])]
    dilated = window["dilation_width"] > 1 and filter_width > 1
    patches = dilated or _crosses_an_edge(window)
    ordered, multipliers = np.concatenate(taps, axis=1), channel_multipliers(context, count)
    return three_pixels(context, window, ordered, multipliers, patches, kernels)


def conv_2d_widened_dsp(context: OpContext, weights: Array) -> Packed | None:
    """A call of ``tidepool_conv_2d_dsp`` for a convolution of one group, with columns of zeros, so
    that a row of the filter is whole words: what is behind them takes as long as a word, byte by
    byte.

    Args:
        context: The operator.
        weights: (channels, height, width, depth) int8.

    Returns:
        The call; None where no column is missing, or the weights would grow by more than an eighth,
        as well.
    """
    _, height, width, depth = weights.shape
    columns = _WORD // math.gcd(_WORD, depth)
    missing = -width % columns
    taps = _whole_words(height * width * depth)
    if missing == 0 or 8 * height * (width + missing) * depth > 9 * taps:
        return None
    window = {**window_params(context, height, width), "filter_width": width + missing}
    wider = np.pad(weights, ((0, 0), (0, 0), (0, missing), (0, 0)))
    return three_windows(context, window, wider)


def _whole_words(taps: int) -> int:
    return -(-taps // _WORD) * _WORD


def _crosses_an_edge(window: dict[str, int]) -> bool:
    """Whether some window reaches into the padding."""
    for size, outputs, filter_size, stride, dilation, pad in (
        [window[name.format(*words)] for name in _ALONG] for words in _DIRECTIONS
    ):
        last = (outputs - 1) * stride - pad + (filter_size - 1) * dilation
        if pad > 0 or last >= size:
            return True
    return False


def three_pixels(
    context: OpContext,
    window: dict[str, int],
    weights: Array,
    multipliers: Sequence[Multiplier],
    patches: bool,
    kernels: Sequence[Kernel] = EIGHT_BITS,
) -> Packed | None:
    """A call of the first kernel that is exact.

    Args:
        context: The operator.
        window: Fields of ``tidepool_window``.
        weights: (channels, taps) int8, in the kernel's order.
        multipliers: One a channel.
        patches: Whether some window has to be copied before it is widened.
        kernels: Those to try.
    """
    depth = _whole_words(weights.shape[1])
    clamp = activation_range(context.output, activation_of(context))
    zero_points = context.input(0).zero_point, context.output.zero_point
    for kernel in kernels:
        layer = (weights, bias_values(context), multipliers, zero_points, clamp, depth)
        found = channels(*layer, kernel.fixed_shift, kernel.scale_bits)
        packed = None if found is None else kernel.pack(found, kernel.scale_bits)
        if packed is not None:
            break
    else:
        return None
    # Those of the fixed form first: the kernel has a loop of its own for them.
    packed = sorted(packed, key=lambda pair: not pair.fixed)
    stream = np.concatenate([pair.words for pair in packed])
    array = ConstantArray(
        context.name("stream"), "int32_t", stream, f"{context.input(1).name}, packed"
    )
    params = {
        "window": window,
        "input_zero_point": zero_points[0],
        "output_min": clamp[0],
        "output_max": clamp[1],
        "depth": depth,
        "fixed_words": sum(pair.words.size for pair in packed if pair.fixed),
        "stream_words": stream.size,
        "stream": Symbol(array.name),
    }
    source = context.input(0).index
    function = f"tidepool_{kernel.name}"
    call = KernelCall(function, "tidepool_conv_2d_dsp_params", params, (source,))
    return Packed(call, (array,), (COLUMN_BYTES + (PATCH_BYTES if patches else 0)) * depth)

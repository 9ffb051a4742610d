"""The kernels of level ``dsp`` for convolutions and dense layers: packing and scratch."""

from __future__ import annotations

from collections.abc import Sequence

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
from device_runners.cgen.dsp_pairs import channels, pairs
from device_runners.cgen.operation import ConstantArray, KernelCall, OpContext, Symbol
from device_runners.cgen.requantization import activation_range

COLUMN_BYTES = 6
"""Three pixels' inputs of one tap, as halves."""
PATCH_BYTES = 3
"""The same as bytes."""

_ALONG = ("input_{0}", "output_{0}", "filter_{0}", "stride_{0}", "dilation_{0}", "pad_{1}")
_DIRECTIONS = (("height", "top"), ("width", "left"))


def conv_2d_dsp(context: OpContext) -> Packed | None:
    """A call of ``tidepool_conv_2d_dsp`` for a CONV_2D of one group.

    Returns:
        The call; None if a channel can't be proven exact.
    """
    weights = context.data(1)
    count, filter_height, filter_width, channels = weights.shape
    window = window_params(context, filter_height, filter_width)
    multipliers = channel_multipliers(context, count)
    row = filter_width * channels
    rows = weights.reshape(count, filter_height, row)
    cut = row // 4 * 4
    # Whole words of each row, then what is left of all rows.
    taps = [part.reshape(count, -1) for part in (rows[:, :, :cut], rows[:, :, cut:])]
    dilated = window["dilation_width"] > 1 and filter_width > 1
    patches = dilated or _crosses_an_edge(window)
    return three_pixels(context, window, np.concatenate(taps, axis=1), multipliers, patches)


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
) -> Packed | None:
    """A call of ``tidepool_conv_2d_dsp``.

    Args:
        context: The operator.
        window: Fields of ``tidepool_window``.
        weights: (channels, taps) int8, in the kernel's order.
        multipliers: One a channel.
        patches: Whether some window has to be copied before it is widened.
    """
    depth = -(-weights.shape[1] // 4) * 4
    clamp = activation_range(context.output, activation_of(context))
    zero_points = context.input(0).zero_point, context.output.zero_point
    found = channels(weights, bias_values(context), multipliers, zero_points, clamp, depth)
    if found is None:
        return None
    # Those of the fixed form first: the kernel has a loop of its own for them.
    packed = sorted(pairs(found), key=lambda pair: not pair.fixed)
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
    call = KernelCall("tidepool_conv_2d_dsp", "tidepool_conv_2d_dsp_params", params, (source,))
    return Packed(call, (array,), (COLUMN_BYTES + (PATCH_BYTES if patches else 0)) * depth)

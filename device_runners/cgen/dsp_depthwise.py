"""The kernels of level ``dsp`` for depthwise convolutions: packing and scratch."""

from __future__ import annotations

import numpy as np

from converters.tflite.graph import Array
from device_runners.cgen.choice import Packed
from device_runners.cgen.convolution import (
    activation_of,
    bias_values,
    channel_multipliers,
    window_params,
)
from device_runners.cgen.dsp_pairs import ROUNDED_FLAG, SLOW_FLAG, Channel, channels
from device_runners.cgen.operation import ConstantArray, KernelCall, OpContext, Symbol
from device_runners.cgen.requantization import activation_range

_CHANNELS = 4  # a word's bytes
_SMALL = {
    "filter_height": 3,
    "filter_width": 3,
    "dilation_height": 1,
    "dilation_width": 1,
}


def depthwise_dsp(context: OpContext) -> Packed | None:
    """A call of ``tidepool_depthwise_conv_2d_dsp`` for a depth multiplier of 1.

    Returns:
        The call; None for less than four channels, or if a
        channel can't be proven exact.
    """
    _, filter_height, filter_width, count = context.input(1).shape
    if count < _CHANNELS:
        return None
    taps = filter_height * filter_width
    zero_points = context.input(0).zero_point, context.output.zero_point
    clamp = activation_range(context.output, activation_of(context))
    weights = context.data(1).reshape(taps, count).T
    multipliers = channel_multipliers(context, count)
    found = channels(weights, bias_values(context), multipliers, zero_points, clamp, taps)
    if found is None:
        return None
    # The last four may begin among those before: the same results once more.
    firsts = [min(c, count - _CHANNELS) for c in range(0, count, _CHANNELS)]
    stream = np.concatenate([_four(found[first : first + _CHANNELS]) for first in firsts])
    array = ConstantArray(
        context.name("stream"), "int32_t", stream, f"{context.input(1).name}, packed"
    )
    window = window_params(context, filter_height, filter_width)
    params = {
        "window": window,
        "input_zero_point": zero_points[0],
        "output_min": clamp[0],
        "output_max": clamp[1],
        "stream_words": stream.size,
        "stream": Symbol(array.name),
    }
    small = all(window[name] == size for name, size in _SMALL.items())
    small = small and (window["stride_height"], window["stride_width"]) in ((1, 1), (2, 2))
    call = KernelCall(
        "tidepool_depthwise_3x3_dsp" if small else "tidepool_depthwise_conv_2d_dsp",
        "tidepool_depthwise_conv_2d_dsp_params",
        params,
        (context.input(0).index,),
    )
    scratch = 208 + 32 * _columns(window) if small else taps * (count + 8)
    return Packed(call, (array,), scratch)


def _columns(window: dict[str, int]) -> int:
    """Of the planes of depthwise_3x3_dsp.c."""
    width = window["output_width"]
    return max(width + 2, 4) if window["stride_width"] == 1 else max(2 * width + 1, 9)


def _four(of: list[Channel]) -> Array:
    """First channel, a word a tap, and a record a channel."""
    weights = np.stack([channel.weights for channel in of], axis=1).astype(np.int8)
    records: list[int] = []
    for channel in of:
        requantizer = channel.requantizer
        form, flag = requantizer.fixed, 0
        if form is None:
            form, flag = requantizer.floor, SLOW_FLAG
        if form is None:
            form, flag = requantizer.rounded, ROUNDED_FLAG
        assert form is not None
        records += [channel.bias + form.offset, form.multiplier, form.addend, form.shift + flag]
    words = np.array(records, np.int64).astype(np.uint32).view(np.int32)
    return np.concatenate([[of[0].position], weights.view("<i4").ravel(), words]).astype(np.int32)

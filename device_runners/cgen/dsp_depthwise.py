"""The kernels of level ``dsp`` for depthwise convolutions: packing and scratch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from converters.tflite.graph import Array
from device_runners.cgen.choice import Packed
from device_runners.cgen.convolution import (
    activation_of,
    bias_values,
    channel_multipliers,
    window_params,
)
from device_runners.cgen.depthwise_planes import (
    band_of,
    lying,
    pairs_of_rows,
    planes_of_band,
    rows_of_plane,
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
_LARGEST_STRIDE = 4  # of depthwise_windows_dsp.c


def depthwise_dsp(context: OpContext) -> Packed | None:
    """A call of ``tidepool_depthwise_3x3_dsp`` where it applies, otherwise of
    ``tidepool_depthwise_conv_2d_dsp``, for a depth multiplier of 1.

    Returns:
        The call; None for less than four channels, or if a channel can't be proven exact.
    """
    _, filter_height, filter_width, count = context.input(1).shape
    array = _stream(context)
    if array is None or count > context.input(0).shape[3]:
        return None
    taps = filter_height * filter_width
    window = window_params(context, filter_height, filter_width)
    params = {"window": window, **_input_and_clamp(context), **_stream_params(array)}
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


def depthwise_windows_dsp(context: OpContext) -> Packed | None:
    """A call of ``tidepool_depthwise_windows_dsp``.

    Returns:
        The call; None for less than four input channels, if a channel can't be proven exact, or for
        images that are too large.
    """
    _, filter_height, filter_width, count = context.input(1).shape
    multiplier = count // context.input(0).shape[3]
    window = lying(window_params(context, filter_height, filter_width))
    band = band_of(context, window, lambda rows: _windows_bytes(window, rows, multiplier))
    array = _stream(context)
    if array is None or band is None or window["stride_width"] > _LARGEST_STRIDE:
        return None
    params = {
        "window": window,
        "depth_multiplier": multiplier,
        **_input_and_clamp(context),
        "rows_of_plane": rows_of_plane(window),
        "band": band,
        **_stream_params(array),
    }
    name = "tidepool_depthwise_windows_dsp"
    call = KernelCall(name, f"{name}_params", params, (context.input(0).index,))
    return Packed(call, (array,), _windows_bytes(window, band, multiplier))


def _windows_bytes(window: Mapping[str, int], band: int, multiplier: int) -> int:
    """Scratch of depthwise_windows_dsp.c."""
    stride, tall = window["stride_width"], window["filter_height"] > 1
    across = window["filter_width"] if tall else -(-window["filter_width"] // 2)
    reach = (across - 1) * window["dilation_width"] * (1 if tall else 2)
    run = max(window["output_width"], _CHANNELS) + reach // stride
    planes = planes_of_band(window, band) * min(stride, reach + 1) * (run + run % 2)
    pairs = pairs_of_rows(window) * across
    return 16 * planes + 8 * pairs + 16 * multiplier * (7 + 2 * pairs)


def _input_and_clamp(context: OpContext) -> dict[str, int]:
    low, high = activation_range(context.output, activation_of(context))
    return {
        "input_zero_point": context.input(0).zero_point,
        "output_min": low,
        "output_max": high,
    }


def _stream_params(array: ConstantArray) -> dict[str, object]:
    return {"stream_words": array.values.size, "stream": Symbol(array.name)}


def _stream(context: OpContext) -> ConstantArray | None:
    """For each four input channels: the first one, and for each of their outputs taps and records.

    Returns:
        None for less than four input channels, or if a channel can't be proven exact.
    """
    count, depth = context.input(1).shape[3], context.input(0).shape[3]
    if depth < _CHANNELS:
        return None
    zero_points = context.input(0).zero_point, context.output.zero_point
    clamp = activation_range(context.output, activation_of(context))
    weights = context.data(1).reshape(-1, count).T
    multipliers = channel_multipliers(context, count)
    bias = bias_values(context)
    found = channels(weights, bias, multipliers, zero_points, clamp, weights.shape[1])
    if found is None:
        return None
    # The last four may begin among those before: the same results once more.
    firsts = [min(c, depth - _CHANNELS) for c in range(0, depth, _CHANNELS)]
    multiplier = count // depth
    parts: list[Array] = []
    for first in firsts:
        parts.append(np.array([first], np.int32))
        begin = first * multiplier
        for m in range(begin, begin + multiplier):
            parts.append(_four(found[m : m + _CHANNELS * multiplier : multiplier]))
    stream = np.concatenate(parts)
    name = f"{context.input(1).name}, packed"
    return ConstantArray(context.name("stream"), "int32_t", stream, name)


def _columns(window: dict[str, int]) -> int:
    """Of the planes of depthwise_3x3_dsp.c."""
    width = window["output_width"]
    return max(width + 2, 4) if window["stride_width"] == 1 else max(2 * width + 1, 9)


def _four(of: list[Channel]) -> Array:
    """A word a tap, and a record a channel."""
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
    result: Array = np.concatenate([weights.view("<i4").ravel(), words]).astype(np.int32)
    return result

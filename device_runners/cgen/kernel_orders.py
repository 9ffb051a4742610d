"""The order in which each kernel reads and writes, by the name of its C function.

The entry of a kernel is a promise of its C code: whoever changes a loop there, changes it here. A
kernel without an entry never gets an output that overlaps an input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from device_runners.cgen.access import (
    AccessPattern,
    Broadcast,
    Dense,
    Elementwise,
    Gather,
    Geometry,
    Padded,
    Reduce,
    Rows,
    Window,
)
from device_runners.cgen.operation import Emission, KernelCall

Params = Mapping[str, Any]


def _window(params: Params) -> Geometry:
    return Geometry(**params["window"])


def _two_pixels(params: Params) -> AccessPattern:
    """Two pixels' windows are copied into scratch memory before any of them is written, but those
    of each group of channels only when the group before is written."""
    geometry = _window(params)
    one_group = geometry.input_channels == params["filter_channels"]
    return Window(geometry, pixels=2, buffered=one_group)


def _per_channel(params: Params) -> AccessPattern:
    return Window(_window(params), per_channel=True)


def _fully_connected(params: Params) -> AccessPattern:
    """By eight channels; four of those that are left, then two, then one."""
    channels = params["output_depth"]
    rest = [n for n in (8, 4, 2) if channels % n == 0]
    together = rest[0] if rest else 1
    return Dense(params["batches"], params["input_depth"], channels, together)


def _by_pixel(params: Params) -> AccessPattern:
    """Pixel by pixel; its window may be read until the last of its outputs is written."""
    return Window(_window(params))


def _by_row(params: Params) -> AccessPattern:
    """Row by row; one may be read until the last of its outputs is written."""
    return Dense(params["batches"], params["input_depth"], params["output_depth"])


def _elementwise(params: Params) -> AccessPattern:
    return Elementwise(params["count"])


def _rows_in_place(params: Params) -> AccessPattern:
    """Several passes over a row; the last one writes each element after it was read."""
    return Elementwise(params["rows"] * params["depth"])


def _broadcast(params: Params) -> AccessPattern:
    b = params["broadcast"]
    return Broadcast(b["sizes"], (b["strides_1"], b["strides_2"]))


def _reduce(params: Params) -> AccessPattern:
    names = ("kept_sizes", "kept_strides", "reduced_sizes", "reduced_strides")
    return Reduce(*(params[name] for name in names))


def _pad(params: Params) -> AccessPattern:
    return Padded(params["sizes"], params["before"], params["after"])


def _copy(params: Params) -> AccessPattern:
    return Rows(params["rows"], params["input_stride"], params["output_stride"])


def _strided_copy(params: Params) -> AccessPattern:
    return Gather(params["sizes"], params["strides"], params["first"], params["run"])


def _three_pixels(params: Params) -> AccessPattern:
    """Three pixels' windows are widened into scratch memory before any of them is written."""
    return Window(_window(params), pixels=3, buffered=True)


def _pairs_of_pixels(params: Params) -> AccessPattern:
    """Windows are copied before any of their outputs is written; or pixels by twos, read again for
    each four channels."""
    if params["pixels"] == 0:
        return Window(_window(params), pixels=2)
    return Window(_window(params), pixels=params["pixels"], buffered=True)


def _four_channels(params: Params) -> AccessPattern:
    """Pixel by pixel, but some channels of one may be read after others of it were written."""
    return Window(_window(params), per_channel=True, pixels=2)


ORDERS: Mapping[str, Callable[[Params], AccessPattern]] = {
    "tidepool_add": _broadcast,
    "tidepool_add_int16": _broadcast,
    "tidepool_add_powers_int16": lambda params: Elementwise(params["count"], operands=2),
    "tidepool_average_pool_2d_int16": _per_channel,
    "tidepool_conv_2d_int16": _by_pixel,
    "tidepool_conv_2d_int16_wide": _by_pixel,
    "tidepool_depthwise_conv_2d_int16": _per_channel,
    "tidepool_depthwise_conv_2d_int16_wide": _per_channel,
    "tidepool_fully_connected_int16": _by_row,
    "tidepool_fully_connected_int16_wide": _by_row,
    "tidepool_leaky_relu_int16": _elementwise,
    "tidepool_logistic_int16": _elementwise,
    "tidepool_max_pool_2d_int16": _per_channel,
    "tidepool_maximum_int16": _broadcast,
    "tidepool_mean_int16": lambda params: _reduce(params["reduction"]),
    "tidepool_minimum_int16": _broadcast,
    "tidepool_mul_int16": _broadcast,
    "tidepool_reduce_max_int16": _reduce,
    "tidepool_reduce_min_int16": _reduce,
    "tidepool_rescale_int16": _elementwise,
    "tidepool_softmax_int16": _rows_in_place,
    "tidepool_tanh_int16": _elementwise,
    "tidepool_add_affine_broadcast": _broadcast,
    "tidepool_add_affine": lambda params: Elementwise(params["count"], operands=2),
    "tidepool_average_pool_2d": _per_channel,
    "tidepool_conv_2d": _two_pixels,
    "tidepool_conv_2d_int4": _two_pixels,
    "tidepool_conv_2d_dsp": _three_pixels,
    "tidepool_conv_2d_int4_dsp": _three_pixels,
    "tidepool_conv_2d_int4_wide_dsp": _three_pixels,
    "tidepool_conv_2d_int4_mve": _pairs_of_pixels,
    "tidepool_conv_2d_mve": _pairs_of_pixels,
    "tidepool_copy": _copy,
    "tidepool_depthwise_conv_2d_dsp": _four_channels,
    "tidepool_fully_connected": _fully_connected,
    "tidepool_fully_connected_int4": _fully_connected,
    "tidepool_l2_normalization": _rows_in_place,
    "tidepool_lookup": _elementwise,
    "tidepool_max_pool_2d": _per_channel,
    "tidepool_maximum": _broadcast,
    "tidepool_minimum": _broadcast,
    "tidepool_mul": _broadcast,
    "tidepool_pad": _pad,
    "tidepool_prelu": _broadcast,
    "tidepool_reduce_max": _reduce,
    "tidepool_reduce_min": _reduce,
    "tidepool_rescale": _elementwise,
    "tidepool_softmax": _rows_in_place,
    "tidepool_squared_difference": _broadcast,
    "tidepool_strided_copy": _strided_copy,
    "tidepool_sub": _broadcast,
    "tidepool_sum": lambda params: _reduce(params["reduction"]),
}
"""C function -> pattern, from the parameters of a call."""

SPLITTABLE = frozenset(
    {
        "tidepool_average_pool_2d",
        "tidepool_average_pool_2d_int16",
        "tidepool_conv_2d",
        "tidepool_conv_2d_int4",
        "tidepool_conv_2d_int16",
        "tidepool_conv_2d_int16_wide",
        "tidepool_conv_2d_dsp",
        "tidepool_conv_2d_int4_dsp",
        "tidepool_conv_2d_int4_wide_dsp",
        "tidepool_conv_2d_int4_mve",
        "tidepool_conv_2d_mve",
        "tidepool_depthwise_conv_2d_dsp",
        "tidepool_depthwise_conv_2d_int16",
        "tidepool_depthwise_conv_2d_int16_wide",
        "tidepool_max_pool_2d",
        "tidepool_max_pool_2d_int16",
    }
)
"""Functions that take any part of an image's rows by their ``window`` (``splitting.py``)."""


def _whole_words(params: Params) -> bool:
    """Four channels at a time, all rows: rows are read ahead of those that are written, as long as
    no channel is computed twice."""
    return bool(params["window"]["input_channels"] % 4 == 0)


def _one_by_one(params: Params) -> bool:
    """Four channels at a time, each computed once; the rows of a window are copied before any
    output of it is written, the output being no larger than the input in any direction."""
    w = params["window"]
    return bool(
        params["depth_multiplier"] == 1
        and w["output_height"] <= w["input_height"]
        and w["output_width"] <= w["input_width"]
        and w["pad_top"] <= (w["filter_height"] - 1) * w["dilation_height"]
    )


def _rows_ahead(params: Params) -> bool:
    """Some channels at a time, none twice; rows of planes are read before any output that needs
    them is written, the output being no larger than the input in any direction."""
    w = params["window"]
    reach = ((w["filter_height"] + 1) // 2 - 1) * 2 * w["dilation_height"]
    return bool(
        params["depth_multiplier"] == 1
        and w["output_height"] <= w["input_height"]
        and w["output_width"] <= w["input_width"]
        and w["pad_top"] <= reach
    )


IN_PLACE: Mapping[str, Callable[[Params], bool]] = {
    "tidepool_depthwise_3x3_dsp": _whole_words,
    # Eight channels at a time, all rows, none twice; rows are read before results take their place.
    "tidepool_depthwise_3x3_mve": lambda _: True,
    "tidepool_depthwise_conv_2d": _one_by_one,
    "tidepool_depthwise_conv_2d_mve": _rows_ahead,
    "tidepool_depthwise_windows_dsp": lambda params: _whole_words(params) and _rows_ahead(params),
}
"""Functions whose output may lie exactly where the input begins, but not elsewhere in it."""


def in_place_inputs(emission: Emission) -> tuple[int, ...]:
    """Inputs whose memory the output may take over."""
    if len(emission.calls) != 1:
        return ()
    call = emission.calls[0]
    allowed = IN_PLACE.get(call.function)
    return call.inputs[:1] if allowed is not None and allowed(call.params) else ()


def access_pattern(call: KernelCall) -> AccessPattern | None:
    """The order of a call, or None if the kernel makes no promise."""
    pattern = ORDERS.get(call.function)
    return None if pattern is None else pattern(call.params)

"""The kernel of level ``mve`` for depthwise convolutions of 3x3: packing and scratch.

Its requantization is that of ``mve_convolution``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.choice import Packed
from device_runners.cgen.convolution import channel_multipliers, window_params
from device_runners.cgen.mve_convolution import output_params, shifts_right
from device_runners.cgen.mve_vectors import folded_bias
from device_runners.cgen.operation import ConstantArray, KernelCall, OpContext, Symbol

_VECTOR = 16  # bytes
_SIZE = 3
_SCRATCH_BYTES = 1280
"""Bands of an image get no more scratch than this, but for that of one plane."""
_POINTERS = 8  # bytes of a tile's two on the core


def depthwise_mve(context: OpContext) -> Packed | None:
    """A call of ``tidepool_depthwise_3x3_mve`` for a depth multiplier of 1.

    Returns:
        The call; None for other depth multipliers, filters, strides or dilations, for an output of
        one column with strides of 1, or if a multiplier shifts to the left.
    """
    _, filter_height, filter_width, count = context.input(1).shape
    window = window_params(context, filter_height, filter_width)
    multipliers = channel_multipliers(context, count)
    if not takes_tiles(window) or not shifts_right(multipliers):
        return None
    weights = context.data(1).reshape(_SIZE, _SIZE, count)
    bias = folded_bias(context, weights.reshape(-1, count).T)
    array = ConstantArray(
        context.name("records"),
        "int32_t",
        _records(weights, bias, multipliers),
        f"{context.input(1).name}, packed",
    )
    band = _band(window)
    params = {
        "window": window,
        "input_zero_point": context.input(0).zero_point,
        **output_params(context),
        "band": band,
        "records": Symbol(array.name),
    }
    name = "tidepool_depthwise_3x3_mve"
    call = KernelCall(name, f"{name}_params", params, (context.input(0).index,))
    return Packed(call, (array,), _scratch_bytes(window, band))


def takes_tiles(window: Mapping[str, int]) -> bool:
    """Whether ``depthwise_3x3_mve.c`` is for these fields of ``tidepool_window``."""
    w = window
    if w["output_channels"] > w["input_channels"]:
        return False
    small = (w["filter_height"], w["filter_width"]) == (_SIZE, _SIZE)
    undilated = (w["dilation_height"], w["dilation_width"]) == (1, 1)
    strides = w["stride_height"], w["stride_width"]
    return (
        small and undilated and (strides == (2, 2) or (strides == (1, 1) and w["output_width"] > 1))
    )


def _records(weights: Array, bias: Array, multipliers: Sequence[Multiplier]) -> Array:
    """For each channel: bias, multiplier, shift, 16 weights, of which the missing ones are 0.

    Args:
        weights: (3, 3, channels) int8.
        bias: (channels,) int32, the input's zero point folded in.
        multipliers: One a channel.
    """
    vectors = np.zeros((len(bias), _VECTOR), np.int8)
    vectors[:, 0:6:2], vectors[:, 1:6:2], vectors[:, 8:14:2] = weights.transpose(0, 2, 1)
    factors = [[multiplier.value, multiplier.shift] for multiplier in multipliers]
    words: Array = np.hstack([bias[:, None], np.array(factors, np.int32), vectors.view("<i4")])
    return words.astype(np.int32).ravel()


def _band(window: dict[str, int]) -> int:
    """Planes to work on at a time: as many as fit, spread evenly over the image."""
    height = window["output_height"]
    planes = height if window["stride_height"] == 2 else -(-height // 2)
    most = max((n for n in range(1, planes + 1) if _fits(window, n)), default=1)
    return -(-planes // -(-planes // most))


def _fits(window: dict[str, int], band: int) -> bool:
    return _scratch_bytes(window, band) <= _SCRATCH_BYTES


def _scratch_bytes(window: dict[str, int], band: int) -> int:
    stride = window["stride_width"]
    across = 2 if stride == 1 else 4
    width = max(window["output_width"], across)
    columns = (width - 1) * stride + 4
    tiles = -(-window["output_width"] // across)
    return _VECTOR * columns * (band + 1) + _POINTERS * tiles * band

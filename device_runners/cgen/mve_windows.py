"""The kernel of level ``mve`` for depthwise convolutions of any window: packing and scratch.

Its requantization is that of ``mve_convolution``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.choice import Packed
from device_runners.cgen.convolution import channel_multipliers, window_params
from device_runners.cgen.depthwise_planes import band_of, lying, planes_of_band, rows_of_plane
from device_runners.cgen.mve_convolution import grows_little, output_params, shifts_right
from device_runners.cgen.mve_depthwise import takes_tiles
from device_runners.cgen.mve_vectors import folded_bias
from device_runners.cgen.operation import ConstantArray, KernelCall, OpContext, Symbol
from device_runners.cgen.optimize import Optimize

_VECTOR = 16  # bytes
_MOST_VECTORS = 16
_TILE = 4  # results
_POINTERS = 8  # bytes of a tile's two on the core
_LARGEST_OFFSET = 0xFFFF


def depthwise_windows_mve(context: OpContext) -> Packed | None:
    """A call of ``tidepool_depthwise_conv_2d_mve``.

    Returns:
        The call; None if a multiplier shifts to the left, if the weights would grow much, or for
        windows or images that are too large. Also for a layer that ``depthwise_3x3_mve`` is for,
        unless size or speed is all that counts: the few instructions that some of these layers
        would save are not worth a second kernel.
    """
    _, filter_height, filter_width, count = context.input(1).shape
    depth = context.input(0).shape[3]
    multipliers = channel_multipliers(context, count)
    window = window_params(context, filter_height, filter_width)
    if takes_tiles(window) and context.optimize is Optimize.BALANCED:
        return None
    window = lying(window)
    weights = context.data(1).reshape(window["filter_height"], window["filter_width"], count)
    vectors = _vectors(weights)
    if not shifts_right(multipliers) or len(vectors[0]) > _MOST_VECTORS * _VECTOR:
        return None
    if not grows_little(context, vectors.size, weights.size):
        return None
    band = band_of(context, window, lambda rows: _scratch_bytes(window, rows))
    if band is None or (scratch := _scratch_bytes(window, band)) > _LARGEST_OFFSET:
        return None
    bias = folded_bias(context, weights.reshape(-1, count).T)
    array = ConstantArray(
        context.name("records"),
        "int32_t",
        _records(vectors, bias, multipliers),
        f"{context.input(1).name}, packed",
    )
    params = {
        "window": window,
        "depth_multiplier": count // depth,
        "input_zero_point": context.input(0).zero_point,
        **output_params(context),
        "vectors": vectors.shape[1] // _VECTOR,
        "rows_of_plane": rows_of_plane(window),
        "band": band,
        "records": Symbol(array.name),
    }
    name = "tidepool_depthwise_conv_2d_mve"
    call = KernelCall(name, f"{name}_params", params, (context.input(0).index,))
    return Packed(call, (array,), scratch)


def _vectors(weights: Array) -> Array:
    """(channels, 16 * vectors) int8: taps by twos of a column, or of a single row.

    Args:
        weights: (height, width, channels) int8.
    """
    height, width, count = weights.shape
    if height > 1:
        even = np.pad(weights, ((0, height % 2), (0, 0), (0, 0)))
        pairs = even.reshape(-1, 2, width, count).transpose(3, 0, 2, 1)
    else:
        pairs = weights.transpose(2, 0, 1)
    flat = pairs.reshape(count, -1)
    padded = np.pad(flat, ((0, 0), (0, -flat.shape[1] % _VECTOR)))
    return np.ascontiguousarray(padded, np.int8)


def _records(vectors: Array, bias: Array, multipliers: Sequence[Multiplier]) -> Array:
    """For each channel: bias, multiplier, shift, weights.

    Args:
        vectors: (channels, 16 * vectors) int8.
        bias: (channels,) int32, the input's zero point folded in.
        multipliers: One a channel.
    """
    factors = [[multiplier.value, multiplier.shift] for multiplier in multipliers]
    words: Array = np.hstack([bias[:, None], np.array(factors, np.int32), vectors.view("<i4")])
    return words.astype(np.int32).ravel()


def _scratch_bytes(window: Mapping[str, int], band: int) -> int:
    width = window["output_width"]
    columns = (max(width, _TILE) - 1) * window["stride_width"] + 1
    if window["filter_height"] > 1:
        columns += (window["filter_width"] - 1) * window["dilation_width"]
    else:
        columns += (-(-window["filter_width"] // 2) - 1) * 2 * window["dilation_width"]
    return _VECTOR * columns * planes_of_band(window, band) + _POINTERS * -(-width // _TILE) * band

"""The portable kernel for convolutions: packing and scratch."""

from __future__ import annotations

from converters.tflite.graph import Array
from device_runners.cgen.channel_packing import pack_channels
from device_runners.cgen.choice import Packed
from device_runners.cgen.convolution import channel_multipliers, window_params
from device_runners.cgen.operation import KernelCall, OpContext


def conv_2d_portable(context: OpContext, weights: Array, four_bits: bool = False) -> Packed:
    """A call of ``tidepool_conv_2d`` or ``tidepool_conv_2d_int4``.

    Args:
        context: The operator.
        weights: (channels, height, width, depth) int8; depth input channels make a group.
        four_bits: Whether the kernel has them in 4 bits.
    """
    window = window_params(context, *weights.shape[1:3])
    return windows_portable(context, window, weights, four_bits)


def windows_portable(
    context: OpContext, window: dict[str, int], weights: Array, four_bits: bool = False
) -> Packed:
    """The same for any window and its weights.

    Args:
        context: The operator.
        window: Fields of ``tidepool_window``.
        weights: (channels, height, width, depth) int8; depth input channels make a group.
        four_bits: Whether the kernel has them in 4 bits.
    """
    source = context.input(0)
    channels, depth = weights.shape[0], weights.shape[3]
    by_channel = weights.reshape(channels, -1)
    packed = pack_channels(context, by_channel, channel_multipliers(context, channels))
    fields, arrays = packed.quads(channels // (source.shape[3] // depth), four_bits)
    params = {
        "window": window,
        "filter_channels": depth,
        "input_zero_point": source.zero_point,
        **fields,
        "channels": packed.params,
    }
    function = f"tidepool_conv_2d{'_int4' if four_bits else ''}"
    call = KernelCall(function, "tidepool_conv_2d_params", params, (source.index,))
    scratch = 2 * 4 * -(-by_channel.shape[1] // 4)  # two windows, each of whole words
    return Packed(call, (*arrays, *packed.arrays), scratch)

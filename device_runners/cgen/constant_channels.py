"""Which channels of a graph's tensors hold one value everywhere, whatever the input is.

They start at filters whose weights are all zero, which training leaves behind, and go on through
whatever reads nothing but constant channels. Padding needs care: a padded tap contributes nothing,
as if it held the zero point. Behind a window that reaches over the border, a channel of any other
value is constant only if rounding and clamping make the borders and the interior the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.tflite.graph import Graph, Operator, Tensor, TensorType
from device_runners.cgen.convolution import Window, bias_values, channel_multipliers, windows
from device_runners.cgen.operation import OpContext
from device_runners.cgen.requantization import activation_range

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Channels:
    """What is known about the channels of a tensor.

    Attributes:
        known: (channels,) whether a channel is constant.
        values: (channels,) its value; 0 if it isn't.
    """

    known: Bools
    values: Int64s


def nothing_known(tensor: Tensor) -> Channels:
    """For a tensor of which every channel may vary."""
    count = tensor.shape[-1] if tensor.shape else 1
    return Channels(np.zeros(count, np.bool_), np.zeros(count, np.int64))


def constant_channels(graph: Graph) -> dict[int, Channels]:
    """Tensor -> its channels, for the outputs of convolutions, pools and reshapes."""
    found: dict[int, Channels] = {}
    for operator in graph.operators:
        rule = _RULES.get(operator.opcode)
        if rule is not None and graph.tensor(operator.outputs[0]).type is TensorType.INT8:
            context = OpContext(graph, operator)
            source = found.get(operator.inputs[0]) or nothing_known(context.input(0))
            found[operator.outputs[0]] = rule(context, source)
    return found


def absorbable(context: OpContext, source: Channels) -> Bools:
    """(channels,) input channels that add the same to every place of a convolution's output."""
    zero = source.values == context.input(0).zero_point
    inside = not _reaches_over_the_border(context)
    fixed: Bools = source.known & (zero | inside)
    return fixed


def convolution_groups(graph: Graph, operator: Operator) -> int:
    """Groups of a CONV_2D."""
    source, weights = graph.tensor(operator.inputs[0]), graph.tensor(operator.inputs[1])
    return source.shape[3] // weights.shape[3]


def _reaches_over_the_border(context: OpContext) -> bool:
    return any(not covered.all() for covered in _coverage(context))


def _coverage(context: OpContext) -> tuple[Bools, Bools]:
    """Which taps of the window lie inside the image: (places, taps) along height and width.

    Each distinct row of places once: the borders and the interior.
    """
    options: Any = context.operator.options
    _, height, width, _ = context.input(0).shape
    _, filter_height, filter_width, _ = context.input(1).shape
    vertical, horizontal = windows(context, filter_height, filter_width)

    def inside(one: Window, size: int, taps: int, stride: int, dilation: int) -> Bools:
        places = np.arange(one.outputs)[:, None] * stride - one.pad + np.arange(taps) * dilation
        distinct: Bools = np.unique((places >= 0) & (places < size), axis=0)
        return distinct

    return (
        inside(vertical, height, filter_height, options.stride_h, options.dilation_h_factor),
        inside(horizontal, width, filter_width, options.stride_w, options.dilation_w_factor),
    )


def _conv_2d(context: OpContext, source: Channels) -> Channels:
    weights = context.data(1).astype(np.int64)
    filters, _, _, depth = weights.shape
    group = np.arange(filters) // (filters * depth // context.input(0).shape[3])
    return _convolved(context, weights, group[:, None] * depth + np.arange(depth), source)


def _depthwise_conv_2d(context: OpContext, source: Channels) -> Channels:
    weights = np.moveaxis(context.data(1).astype(np.int64), 3, 0).transpose(0, 2, 3, 1)
    multiplier = len(weights) // context.input(0).shape[3]
    return _convolved(context, weights, np.arange(len(weights))[:, None] // multiplier, source)


def _convolved(context: OpContext, weights: Int64s, reads: Int64s, source: Channels) -> Channels:
    """The output of a convolution: constant where it is the same at the borders and inside.

    Args:
        context: The operator.
        weights: (output channels, height, width, depth).
        reads: (output channels, depth) the input channels that they are for.
        source: The input's channels.
    """
    output = context.output
    options: Any = context.operator.options
    low, high = activation_range(output, options.fused_activation_function)
    known = ~((weights != 0).any((1, 2)) & ~source.known[reads]).any(1)
    offsets = np.where(source.known, source.values - context.input(0).zero_point, 0)[reads]
    rows, columns = _coverage(context)
    # (output channels, kinds of places): all there is to compute for constant inputs
    sums = np.einsum("oyxd,od,ry,cx->orc", weights, offsets, rows, columns, optimize=True)
    bias = bias_values(context)
    sums = sums.reshape(len(weights), -1)
    if bias is not None:
        sums = sums + bias.astype(np.int64)[:, None]
    result = np.zeros(len(known), np.int64)
    for channel, multiplier in enumerate(channel_multipliers(context, len(known))):
        if known[channel]:
            scaled = {multiplier.apply(int(sum_)) for sum_ in sums[channel]}
            values = {min(max(one + output.zero_point, low), high) for one in scaled}
            known[channel] = len(values) == 1
            result[channel] = values.pop() if known[channel] else 0
    return Channels(known, result)


def _pool_2d(context: OpContext, source: Channels) -> Channels:
    """The mean and the maximum of equal values is that value; padding does not count."""
    options: Any = context.operator.options
    low, high = activation_range(context.output, options.fused_activation_function)
    return Channels(source.known, np.where(source.known, source.values.clip(low, high), 0))


def _reshape(context: OpContext, source: Channels) -> Channels:
    repeats = repeats_of_reshape(context.input(0), context.output)
    if repeats is None:
        return nothing_known(context.output)
    return Channels(np.tile(source.known, repeats), np.tile(source.values, repeats))


def repeats_of_reshape(source: Tensor, output: Tensor) -> int | None:
    """How often the source's channels follow each other in the output's last dimension.

    None if they don't stay together.
    """
    if not source.shape or not output.shape or output.shape[-1] % source.shape[-1]:
        return None
    return output.shape[-1] // source.shape[-1]


_RULES: Mapping[str, Callable[[OpContext, Channels], Channels]] = {
    "AVERAGE_POOL_2D": _pool_2d,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "MAX_POOL_2D": _pool_2d,
    "RESHAPE": _reshape,
}

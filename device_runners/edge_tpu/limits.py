"""The limits that Coral documents beside the rules, and what fails without a known threshold.

No compiled model at hand contradicts these limits; where one does (a softmax on more than one
dimension maps), the limit here is the weaker one that fits.
"""

from __future__ import annotations

import numpy as np

from converters.tflite.graph import Activation, Graph, Operator, Tensor
from converters.tflite.options import (
    ConcatenationOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    PackOptions,
    Pool2DOptions,
    StridedSliceOptions,
)
from device_runners.edge_tpu import statuses
from device_runners.edge_tpu.operands import activations, axes, input_of, integers
from device_runners.edge_tpu.rule import Basis, Rule, RuleBook

_BOOK = RuleBook(Basis.DOCUMENTED)
_RISKS = RuleBook(Basis.RISK)


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "apply the activation before the pooling (for a ReLU and a max pool it gives the same)",
    "AVERAGE_POOL_2D",
    "MAX_POOL_2D",
)
def pool_without_activation(graph: Graph, operator: Operator) -> bool:
    """It has no fused activation."""
    options = operator.options
    return not isinstance(options, Pool2DOptions) or _no_activation(options)


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "apply the activation to the inputs, before the concatenation",
    "CONCATENATION",
)
def concatenation_without_activation(graph: Graph, operator: Operator) -> bool:
    """It has no fused activation."""
    options = operator.options
    return not isinstance(options, ConcatenationOptions) or _no_activation(options)


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "concatenate constants on the host, or pad with zeros",
    "CONCATENATION",
)
def concatenated_constant_is_zero(graph: Graph, operator: Operator) -> bool:
    """A constant among its inputs is all zeros (its zero point), beside exactly one other input."""
    inputs = [t for t in graph.inputs_of(operator) if t is not None]
    constants = [t for t in inputs if t.is_constant]
    return not constants or (len(inputs) == 2 and all(_is_zero(t) for t in constants))


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "use the same dilation rate in both directions",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
)
def equal_dilation(graph: Graph, operator: Operator) -> bool:
    """Its dilation is the same in x and y."""
    options = operator.options
    if not isinstance(options, Conv2DOptions | DepthwiseConv2DOptions):
        return True
    return options.dilation_w_factor == options.dilation_h_factor


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "reduce over other dimensions",
    "MEAN",
    "REDUCE_MAX",
    "REDUCE_MIN",
)
def reduction_not_over_batch(graph: Graph, operator: Operator) -> bool:
    """It does not reduce the batch dimension."""
    source = input_of(graph, operator, 0)
    return source is None or len(source.shape) < 4 or 0 not in axes(graph, operator, 1, 4)


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "use a multiple of 4 channels",
    "MEAN",
)
def mean_over_channels_by_four(graph: Graph, operator: Operator) -> bool:
    """A mean over the channels (z) has a multiple of 4 of them."""
    source = input_of(graph, operator, 0)
    if source is None or not source.shape:
        return True
    rank = len(source.shape)
    return rank - 1 not in axes(graph, operator, 1, rank) or source.shape[-1] % 4 == 0


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "pack along another dimension",
    "PACK",
)
def pack_not_along_batch(graph: Graph, operator: Operator) -> bool:
    """It does not pack along the batch dimension."""
    options, rank = operator.options, len(graph.outputs_of(operator)[0].shape)
    return not isinstance(options, PackOptions) or rank < 4 or options.axis % rank != 0


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "pad the other dimensions only",
    "PAD",
)
def pad_not_batch(graph: Graph, operator: Operator) -> bool:
    """It does not pad the batch dimension."""
    paddings = integers(graph, operator, 1) or ()
    return len(paddings) < 8 or not any(paddings[:2])


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "give PReLU shared_axes=[1, 2]: one slope per channel",
    "PRELU",
)
def slope_per_channel(graph: Graph, operator: Operator) -> bool:
    """Its alpha is one-dimensional: only its innermost dimension is larger than 1."""
    alpha = input_of(graph, operator, 1)
    return alpha is None or all(size == 1 for size in alpha.shape[:-1])


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "compute the softmax on the host",
    "SOFTMAX",
)
def softmax_over_16000(graph: Graph, operator: Operator) -> bool:
    """It is over at most 16,000 elements."""
    output = graph.outputs_of(operator)[0]
    return not output.shape or output.shape[-1] <= 16_000


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "slice with stride 1 and without new axes; a max pool or a strided convolution subsamples too",
    "STRIDED_SLICE",
)
def plain_slice(graph: Graph, operator: Operator) -> bool:
    """Its strides are 1, and it has neither an ellipsis nor a new-axis mask."""
    options = operator.options
    if isinstance(options, StridedSliceOptions) and (
        options.ellipsis_mask or options.new_axis_mask
    ):
        return False
    return all(stride == 1 for stride in integers(graph, operator, 3) or ())


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "squeeze leading dimensions only; a reshape does the same",
    "SQUEEZE",
)
def leading_squeeze(graph: Graph, operator: Operator) -> bool:
    """It removes leading dimensions only, all of size 1: the data stays in place."""
    source, output = input_of(graph, operator, 0), graph.outputs_of(operator)[0]
    if source is None:
        return True
    inner = tuple(_without_leading_ones(source.shape))
    return inner == tuple(_without_leading_ones(output.shape))


# The smallest activation of which a failure is public (a mean over 256 x 128 x 3); others of
# these ops are mapped at several times the size.
LARGE_BYTES = 96 << 10


@_RISKS.rule(
    statuses.UNSPECIFIED,
    "if it does not map: a smaller input, a split before it, or the head cut off",
    "CONCATENATION",
    "LOGISTIC",
    "MAX_POOL_2D",
    "MEAN",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "SOFTMAX",
    "TRANSPOSE",
    "TRANSPOSE_CONV",
)
def moderate_size(graph: Graph, operator: Operator) -> bool:
    """No activation takes 96 KiB or more: larger ones sometimes fail, by no known threshold."""
    return all(t.bytes < LARGE_BYTES for t in activations(graph, operator))


@_RISKS.rule(
    statuses.UNSPECIFIED,
    "if it does not map: replace it by a convolution with kernel size 1",
    "FULLY_CONNECTED",
)
def one_row(graph: Graph, operator: Operator) -> bool:
    """Its output is one-dimensional: one row, as Coral documents it."""
    return all(size == 1 for t in graph.outputs_of(operator) for size in t.shape[:-1])


LIMITS: tuple[Rule, ...] = _BOOK.rules
"""Breaking one of these keeps an operator off the Edge TPU."""

RISKS: tuple[Rule, ...] = _RISKS.rules
"""Breaking one of these leaves an operator mapped, but at risk."""


def _is_zero(tensor: Tensor) -> bool:
    zero = tensor.quantization.zero_points[0] if tensor.quantization else 0
    return tensor.data is not None and bool(np.all(tensor.data == zero))


def _no_activation(options: Pool2DOptions | ConcatenationOptions) -> bool:
    return options.fused_activation_function is Activation.NONE


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if not shape or shape[0] != 1 else _without_leading_ones(shape[1:])

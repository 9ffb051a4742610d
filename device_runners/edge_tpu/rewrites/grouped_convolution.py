"""Splits a grouped convolution: SPLIT, one CONV_2D a group, CONCATENATION.

CONV_2D with fewer input channels in the filter than in the input is version 6, which the
compiler's TFLite can't read: it refuses the whole file. With one input channel a group, it is a
DEPTHWISE_CONV_2D, and becomes that.

Exact: every output channel sums the same products, and is rescaled by its own scale, with the same
bias; SPLIT and CONCATENATION move bytes, since all parts have the scale of the whole.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converters.tflite.graph import Graph, Operator, Quantization, Tensor, TensorType
from converters.tflite.options import (
    ConcatenationOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    SplitOptions,
)
from device_runners.edge_tpu.operands import EIGHT_BIT, input_of
from device_runners.edge_tpu.rewrites.edit import GraphEdit
from device_runners.edge_tpu.rewrites.edit import operator as new_operator

_CHANNELS = 3  # the last dimension of an image


def match(graph: Graph, operator: Operator) -> bool:
    """A CONV_2D on 8 bits whose constant filter covers a part of the input's channels."""
    if operator.opcode != "CONV_2D" or not isinstance(operator.options, Conv2DOptions):
        return False
    source, weights, bias = (input_of(graph, operator, i) for i in range(3))
    if source is None or weights is None or bias is None:
        return False  # the 8-bit kernel has no form without bias
    if len(source.shape) != 4 or len(weights.shape) != 4:
        return False
    output = graph.outputs_of(operator)[0]
    depth, part = source.shape[_CHANNELS], weights.shape[_CHANNELS]
    return (
        part < depth
        and depth % part == 0
        and weights.shape[0] % (depth // part) == 0
        and weights.is_constant
        and bias.is_constant
        and weights.type is source.type is output.type
        and source.type in EIGHT_BIT
    )


def transform(graph: Graph, operator: Operator) -> Graph:
    """Convolutions of one group each, or a depthwise one."""
    source, weights, bias = (graph.tensors[index] for index in operator.inputs)
    edit = GraphEdit(graph)
    if weights.shape[_CHANNELS] == 1:
        edit.replace(operator, _depthwise(edit, operator, source, weights))
    else:
        output = graph.outputs_of(operator)[0]
        edit.replace(operator, *_by_group(edit, operator, source, weights, bias, output))
    return edit.graph()


def _depthwise(edit: GraphEdit, operator: Operator, source: Tensor, weights: Tensor) -> Operator:
    options = operator.options
    assert isinstance(options, Conv2DOptions) and weights.data is not None
    moved = np.transpose(weights.data, (3, 1, 2, 0))
    quantization = weights.quantization and replace(weights.quantization, axis=_CHANNELS)
    filters = edit.constant(f"{weights.name}/depthwise", moved, quantization)
    depthwise = DepthwiseConv2DOptions(
        padding=options.padding,
        stride_w=options.stride_w,
        stride_h=options.stride_h,
        depth_multiplier=weights.shape[0] // source.shape[_CHANNELS],
        fused_activation_function=options.fused_activation_function,
        dilation_w_factor=options.dilation_w_factor,
        dilation_h_factor=options.dilation_h_factor,
    )
    inputs = (operator.inputs[0], filters, *operator.inputs[2:])
    return new_operator("DEPTHWISE_CONV_2D", _version(source), depthwise, inputs, operator.outputs)


def _by_group(
    edit: GraphEdit,
    operator: Operator,
    source: Tensor,
    weights: Tensor,
    bias: Tensor,
    output: Tensor,
) -> list[Operator]:
    part = weights.shape[_CHANNELS]
    groups = source.shape[_CHANNELS] // part
    filters = weights.shape[0] // groups
    axis = edit.constant(f"{output.name}/split/axis", np.array(_CHANNELS, np.int32))
    narrow = (*source.shape[:_CHANNELS], part)
    given = (*output.shape[:_CHANNELS], filters)
    parts = [edit.like(source, f"group_{i}", shape=narrow) for i in range(groups)]
    results = [edit.like(output, f"group_{i}", shape=given) for i in range(groups)]
    version = 1 if source.type is TensorType.UINT8 else 2
    split = new_operator("SPLIT", version, SplitOptions(groups), [axis, source.index], parts)
    convolutions = []
    for i in range(groups):
        channels = slice(i * filters, (i + 1) * filters)
        inputs = [parts[i], *(_slice(edit, tensor, channels, i) for tensor in (weights, bias))]
        convolutions.append(
            new_operator("CONV_2D", _version(source), operator.options, inputs, [results[i]])
        )
    options = ConcatenationOptions(axis=_CHANNELS)
    joined = new_operator("CONCATENATION", version, options, results, operator.outputs)
    return [split, *convolutions, joined]


def _slice(edit: GraphEdit, tensor: Tensor, channels: slice, group: int) -> int:
    """Some output channels of the weights or of the bias."""
    assert tensor.data is not None
    quantization = tensor.quantization
    if quantization is not None and quantization.per_channel:
        scales, zero_points = quantization.scales[channels], quantization.zero_points[channels]
        quantization = Quantization(scales, zero_points)
    return edit.constant(f"{tensor.name}/group_{group}", tensor.data[channels], quantization)


def _version(source: Tensor) -> int:
    return 1 if source.type is TensorType.UINT8 else 3

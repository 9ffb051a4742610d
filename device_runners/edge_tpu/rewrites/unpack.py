"""Turns UNPACK into one STRIDED_SLICE for each of its outputs.

Unrolled recurrent layers take their input apart by UNPACK, which the Edge TPU lacks: it strands
all that follows.

Exact: both move bytes. A STRIDED_SLICE of one index along a dimension, which is then dropped, is
what UNPACK gives for that index.
"""

from __future__ import annotations

import numpy as np

from converters.tflite.graph import Graph, Operator, TensorType
from converters.tflite.options import StridedSliceOptions, UnpackOptions
from device_runners.edge_tpu.operands import EIGHT_BIT
from device_runners.edge_tpu.rewrites.edit import GraphEdit
from device_runners.edge_tpu.rewrites.edit import operator as new_operator

_MOST_DIMENSIONS = 4


def match(graph: Graph, operator: Operator) -> bool:
    """An UNPACK of an 8-bit tensor of at most four dimensions."""
    if operator.opcode != "UNPACK" or not isinstance(operator.options, UnpackOptions):
        return False
    tensors = [graph.tensors[operator.inputs[0]], *graph.outputs_of(operator)]
    return (
        len(tensors[0].shape) <= _MOST_DIMENSIONS
        and all(t.type in EIGHT_BIT for t in tensors)
        and all(t.quantization == tensors[0].quantization for t in tensors)
    )


def transform(graph: Graph, operator: Operator) -> Graph:
    """A slice of one index for each output that is read."""
    assert isinstance(operator.options, UnpackOptions)
    source = graph.tensors[operator.inputs[0]]
    rank = len(source.shape)
    axis = operator.options.axis % rank
    others = sum(1 << dimension for dimension in range(rank) if dimension != axis)
    options = StridedSliceOptions(begin_mask=others, end_mask=others, shrink_axis_mask=1 << axis)
    edit = GraphEdit(graph)
    ones = edit.constant(f"{source.name}/strides", np.ones(rank, np.int32))
    version = 1 if source.type is TensorType.UINT8 else 2
    slices = []
    for index, output in enumerate(operator.outputs):
        bounds = []
        for end, value in (("begin", index), ("end", index + 1)):
            values = np.where(np.arange(rank) == axis, value, 0).astype(np.int32)
            bounds.append(edit.constant(f"{graph.tensors[output].name}/{end}", values))
        inputs = [source.index, *bounds, ones]
        slices.append(new_operator("STRIDED_SLICE", version, options, inputs, [output]))
    edit.replace(operator, *slices)
    return edit.graph()

"""Turns SPLIT_V, a split into unequal parts, into one SLICE for each part.

The Edge TPU has splits into equal parts only; the op stays on the CPU and strands what follows.

Exact: both move bytes.
"""

from __future__ import annotations

import numpy as np

from converters.tflite.graph import Graph, Operator, TensorType
from device_runners.edge_tpu.operands import EIGHT_BIT, integers
from device_runners.edge_tpu.rewrites.edit import GraphEdit
from device_runners.edge_tpu.rewrites.edit import operator as new_operator

_MOST_DIMENSIONS = 4


def match(graph: Graph, operator: Operator) -> bool:
    """A SPLIT_V of an 8-bit tensor of at most four dimensions along a constant one."""
    if operator.opcode != "SPLIT_V" or integers(graph, operator, 2) is None:
        return False
    tensors = [graph.tensors[operator.inputs[0]], *graph.outputs_of(operator)]
    return (
        len(tensors[0].shape) <= _MOST_DIMENSIONS
        and all(t.type in EIGHT_BIT for t in tensors)
        and all(t.quantization == tensors[0].quantization for t in tensors)
    )


def transform(graph: Graph, operator: Operator) -> Graph:
    """A slice for each part that is read; the parts' sizes are those of the outputs."""
    source = graph.tensors[operator.inputs[0]]
    (axis,) = integers(graph, operator, 2) or ()
    axis %= len(source.shape)
    edit = GraphEdit(graph)
    slices, begin = [], 0
    version = 1 if source.type is TensorType.UINT8 else 2
    for output in graph.outputs_of(operator):
        begins = np.where(np.arange(len(source.shape)) == axis, begin, 0).astype(np.int32)
        inputs = [
            source.index,
            edit.constant(f"{output.name}/begin", begins),
            edit.constant(f"{output.name}/size", np.array(output.shape, np.int32)),
        ]
        slices.append(new_operator("SLICE", version, None, inputs, [output.index]))
        begin += output.shape[axis]
    edit.replace(operator, *slices)
    return edit.graph()

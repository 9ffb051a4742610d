"""Turns a STRIDED_SLICE that takes every n-th row or column into a MAX_POOL_2D of one pixel.

The Edge TPU slices with stride 1 only; networks that start by sorting pixels into channels, and
shortcuts that subsample, stay on the CPU.

Exact: the greatest of one pixel is that pixel, and pooling with a window of 1 visits the pixels
that the slice takes. A slice that starts or ends within the image is cut out first, with stride 1.
"""

from __future__ import annotations

import numpy as np

from converters.tflite.graph import Graph, Operator, Padding, Tensor, TensorType
from converters.tflite.options import Pool2DOptions, StridedSliceOptions
from device_runners.edge_tpu.operands import EIGHT_BIT, integers
from device_runners.edge_tpu.rewrites.edit import GraphEdit
from device_runners.edge_tpu.rewrites.edit import operator as new_operator


def match(graph: Graph, operator: Operator) -> bool:
    """A slice of an 8-bit image with a stride over rows or columns, and none over channels."""
    strides = integers(graph, operator, 3) if operator.opcode == "STRIDED_SLICE" else None
    source, output = graph.tensors[operator.inputs[0]], graph.outputs_of(operator)[0]
    options = operator.options
    return (
        strides is not None
        and len(strides) == len(source.shape) == len(output.shape) == 4
        and strides[0] == strides[3] == 1
        and max(strides) > 1
        and min(strides) > 0
        and isinstance(options, StridedSliceOptions)
        and not (options.ellipsis_mask or options.new_axis_mask or options.shrink_axis_mask)
        and not options.offset
        and source.type is output.type
        and source.type in EIGHT_BIT
        and source.quantization == output.quantization
        and _bounds(graph, operator, source) is not None
    )


def transform(graph: Graph, operator: Operator) -> Graph:
    """The pool, behind a slice with stride 1 where that cuts anything off."""
    source, output = graph.tensors[operator.inputs[0]], graph.outputs_of(operator)[0]
    strides, bounds = integers(graph, operator, 3), _bounds(graph, operator, source)
    assert strides is not None and bounds is not None
    begins = [begin for begin, _ in bounds]
    sizes = tuple(end - begin for begin, end in bounds)
    edit = GraphEdit(graph)
    operators: list[Operator] = []
    start = source.index
    first = 1 if source.type is TensorType.UINT8 else 2
    if sizes != source.shape:
        start = edit.like(output, "window", shape=sizes)
        inputs = [
            source.index,
            edit.constant(f"{output.name}/begin", np.array(begins, np.int32)),
            edit.constant(f"{output.name}/size", np.array(sizes, np.int32)),
        ]
        operators.append(new_operator("SLICE", first, None, inputs, [start]))
    options = Pool2DOptions(Padding.VALID, strides[2], strides[1], 1, 1)
    operators.append(new_operator("MAX_POOL_2D", first, options, [start], [output.index]))
    edit.replace(operator, *operators)
    return edit.graph()


def _bounds(graph: Graph, operator: Operator, source: Tensor) -> list[tuple[int, int]] | None:
    """Where the slice begins and ends along each dimension; None if that isn't known."""
    begins, ends = integers(graph, operator, 1), integers(graph, operator, 2)
    options = operator.options
    if begins is None or ends is None or not isinstance(options, StridedSliceOptions):
        return None
    bounds = []
    for axis, size in enumerate(source.shape):
        begin, end, _ = slice(
            None if options.begin_mask >> axis & 1 else begins[axis],
            None if options.end_mask >> axis & 1 else ends[axis],
        ).indices(size)
        if end <= begin:
            return None
        bounds.append((begin, end))
    return bounds

"""Joins SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND to one dilated convolution.

With the batch None TensorFlow 2.19 writes a dilation rate as these three; the Edge TPU has only the
dilated convolution.

Exact: moving every n-th row and column into a batch of their own, and back, is what the dilated
kernel does by its stride over the input; the padding that SPACE_TO_BATCH_ND adds is the input's
zero point, which adds nothing to a sum. It is done only where that padding is VALID's or SAME's.
"""

from __future__ import annotations

from dataclasses import replace

from converters.tflite.graph import Graph, Operator, Padding, Tensor
from converters.tflite.options import Conv2DOptions, DepthwiseConv2DOptions
from device_runners.edge_tpu.operands import EIGHT_BIT, integers
from device_runners.edge_tpu.rewrites.edit import GraphEdit


def match(graph: Graph, operator: Operator) -> bool:
    """The BATCH_TO_SPACE_ND at the end of such a group."""
    return operator.opcode == "BATCH_TO_SPACE_ND" and _padding(graph, operator) is not None


def transform(graph: Graph, operator: Operator) -> Graph:
    """The convolution with the block's size as its dilation."""
    convolution, before = _before(graph, operator)
    padding, block = _padding(graph, operator), integers(graph, operator, 1)
    assert convolution is not None and before is not None and block is not None
    options = convolution.options
    assert padding is not None and isinstance(options, Conv2DOptions | DepthwiseConv2DOptions)
    edit = GraphEdit(graph)
    dilated = replace(
        options, padding=padding, dilation_h_factor=block[0], dilation_w_factor=block[1]
    )
    inputs = (before.inputs[0], *convolution.inputs[1:])
    edit.replace(
        operator, replace(convolution, options=dilated, inputs=inputs, outputs=operator.outputs)
    )
    return edit.graph()


def _before(graph: Graph, operator: Operator) -> tuple[Operator | None, Operator | None]:
    """The convolution, and the SPACE_TO_BATCH_ND before that; None where it isn't one."""
    convolution = graph.producer(operator.inputs[0])
    options = None if convolution is None else convolution.options
    if (
        convolution is None
        or not isinstance(options, Conv2DOptions | DepthwiseConv2DOptions)
        or options.padding is not Padding.VALID
        or {options.stride_h, options.stride_w} != {1}
        or {options.dilation_h_factor, options.dilation_w_factor} != {1}
    ):
        return None, None
    before = graph.producer(convolution.inputs[0])
    is_split = before is not None and before.opcode == "SPACE_TO_BATCH_ND"
    return convolution, before if is_split else None


def _padding(graph: Graph, operator: Operator) -> Padding | None:
    """The padding of the dilated convolution; None where none gives the same."""
    convolution, before = _before(graph, operator)
    if convolution is None or before is None:
        return None
    block, crops = integers(graph, operator, 1), integers(graph, operator, 2)
    added = integers(graph, before, 2)
    weights = graph.tensors[convolution.inputs[1]]
    source, output = graph.tensors[before.inputs[0]], graph.outputs_of(operator)[0]
    if (
        block is None
        or crops is None
        or added is None
        or len(block) != 2
        or block != integers(graph, before, 1)
        or not _is_plain(graph, before, operator)
    ):
        return None
    found = set()
    for axis in (0, 1):
        reach = block[axis] * (weights.shape[1 + axis] - 1)
        shift = added[2 * axis] - crops[2 * axis]
        sizes = source.shape[1 + axis], output.shape[1 + axis]
        fits = {
            Padding.VALID: shift == 0 and sizes[1] == sizes[0] - reach,
            Padding.SAME: shift == reach // 2 and sizes[1] == sizes[0],
        }
        found.add(frozenset(padding for padding, fit in fits.items() if fit))
    both = frozenset.intersection(*found)
    return Padding.VALID if Padding.VALID in both else next(iter(both), None)


def _is_plain(graph: Graph, before: Operator, operator: Operator) -> bool:
    """8 bits throughout, images, and no rescaling but the convolution's."""

    def alike(op: Operator) -> bool:
        ends: tuple[Tensor, Tensor] = graph.tensors[op.inputs[0]], graph.outputs_of(op)[0]
        return ends[0].quantization == ends[1].quantization and all(
            t.type in EIGHT_BIT and len(t.shape) == 4 for t in ends
        )

    return alike(before) and alike(operator)

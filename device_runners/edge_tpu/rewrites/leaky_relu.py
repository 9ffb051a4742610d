"""Turns LEAKY_RELU into PRELU with a constant slope, which the Edge TPU has.

LEAKY_RELU stays on the CPU ("Operation not supported") and strands what stands behind it.

Exact: PRELU multiplies negative values by its alpha, an integer with a scale. The integer 1 with
the slope itself as its scale makes the kernel's factor for negative values, input scale * slope /
output scale, the one that LEAKY_RELU uses; the factor for the others is the same in both.
"""

from __future__ import annotations

import numpy as np

from converters.tflite.graph import Graph, Operator, Quantization
from converters.tflite.options import LeakyReluOptions
from device_runners.edge_tpu.operands import EIGHT_BIT, activations
from device_runners.edge_tpu.rewrites.edit import GraphEdit
from device_runners.edge_tpu.rewrites.edit import operator as new_operator


def match(graph: Graph, operator: Operator) -> bool:
    """A LEAKY_RELU on 8 bits with a positive slope: a scale can't be zero or negative."""
    return (
        operator.opcode == "LEAKY_RELU"
        and isinstance(operator.options, LeakyReluOptions)
        and operator.options.alpha > 0
        and all(t.type in EIGHT_BIT for t in activations(graph, operator))
        and bool(graph.tensors[operator.inputs[0]].shape)
    )


def transform(graph: Graph, operator: Operator) -> Graph:
    """PRELU, its alpha one for each channel and shared by all places, as Coral documents it."""
    assert isinstance(operator.options, LeakyReluOptions)
    source = graph.tensors[operator.inputs[0]]
    edit = GraphEdit(graph)
    shape = (*(1 for _ in source.shape[1:-1]), source.shape[-1])
    slope = Quantization((operator.options.alpha,), (0,))
    name = f"{graph.outputs_of(operator)[0].name}/alpha"
    alpha = edit.constant(name, np.ones(shape, source.type.dtype), slope)
    inputs = [source.index, alpha]
    edit.replace(operator, new_operator("PRELU", 1, None, inputs, operator.outputs))
    return edit.graph()

"""Multiply-accumulates of an operator: the work that decides how long it takes."""

from __future__ import annotations

import math

from converters.tflite.graph import Graph, Operator
from converters.tflite.options import BatchMatMulOptions

# Per element of the output, a filter is applied once over these of its dimensions (of a grouped
# convolution's filter the last one is the depth of one group).
_FILTER_DIMENSIONS = {
    "CONV_2D": slice(1, 4),
    "DEPTHWISE_CONV_2D": slice(1, 3),
    "FULLY_CONNECTED": slice(1, 2),
}


def operator_macs(graph: Graph, operator: Operator) -> int:
    """Multiply-accumulates of one inference; 0 for operators that have none to speak of."""
    inputs = graph.inputs_of(operator)
    if not operator.outputs or len(inputs) < 2 or inputs[0] is None or inputs[1] is None:
        return 0
    elements = graph.outputs_of(operator)[0].elements
    first, weights, opcode = inputs[0], inputs[1].shape, operator.opcode
    macs = 0
    if opcode in _FILTER_DIMENSIONS:
        macs = elements * math.prod(weights[_FILTER_DIMENSIONS[opcode]])
    elif opcode == "TRANSPOSE_CONV" and len(inputs) > 2 and inputs[2] is not None:
        # Every element of the input is spread over a filter's height, width and output channels.
        macs = inputs[2].elements * math.prod(weights[:3])
    elif opcode == "BATCH_MATMUL" and len(first.shape) > 1:
        options = operator.options
        transposed = isinstance(options, BatchMatMulOptions) and options.adj_x
        macs = elements * first.shape[-2 if transposed else -1]
    elif opcode == "UNIDIRECTIONAL_SEQUENCE_LSTM" and len(weights) == 2:
        units, depth = weights
        steps = first.elements // max(1, depth)
        macs = steps * 4 * units * (depth + units)
    return macs

"""Which inputs of an operator are activations, and which are parameters."""

from __future__ import annotations

import math

from converters.tflite.graph import Graph, Operator, Tensor, TensorType

EIGHT_BIT = frozenset({TensorType.INT8, TensorType.UINT8})

_REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")

PARAMETER_INPUTS: dict[str, tuple[int, ...]] = {
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "EXPAND_DIMS": (1,),
    "FULLY_CONNECTED": (1, 2),
    "PAD": (1,),
    "PRELU": (1,),
    "RESHAPE": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SLICE": (1, 2),
    "SPLIT": (0,),
    "STRIDED_SLICE": (1, 2, 3),
    "TILE": (1,),
    "TRANSPOSE": (1,),
    "TRANSPOSE_CONV": (0, 1, 3),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 18), *range(20, 24)),
    **dict.fromkeys(_REDUCTIONS, (1,)),
}
"""Opcode -> positions of weights, shapes and axes, which must be known at compile time."""

SHAPE_INPUTS: dict[str, tuple[int, ...]] = {
    "BROADCAST_TO": (1,),
    "EXPAND_DIMS": (1,),
    "FILL": (0,),
    "MIRROR_PAD": (1,),
    "PAD": (1,),
    "PADV2": (1,),
    "RESHAPE": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SLICE": (1, 2),
    "STRIDED_SLICE": (1, 2, 3),
    "TILE": (1,),
    "TRANSPOSE": (1,),
    "TRANSPOSE_CONV": (0,),
}
"""Opcode -> positions of inputs that decide the output's shape: computed, it is dynamic."""

# What gives a size or a place in ops that the Edge TPU lacks: it isn't an activation either.
_INDEX_INPUTS: dict[str, tuple[int, ...]] = {
    "ARG_MAX": (1,),
    "ARG_MIN": (1,),
    "BATCH_TO_SPACE_ND": (1, 2),
    "BROADCAST_TO": (1,),
    "GATHER": (1,),
    "GATHER_ND": (1,),
    "MIRROR_PAD": (1,),
    "PADV2": (1,),
    "REDUCE_PROD": (1,),
    "SPACE_TO_BATCH_ND": (1, 2),
    "SPLIT_V": (1, 2),
    "TOPK_V2": (1,),
}


def activations(graph: Graph, operator: Operator) -> tuple[Tensor, ...]:
    """What the operator computes on and gives: not parameters, constants or a recurrent state."""
    skipped = PARAMETER_INPUTS.get(operator.opcode, ()) + _INDEX_INPUTS.get(operator.opcode, ())
    inputs = [
        tensor
        for position, tensor in enumerate(graph.inputs_of(operator))
        if tensor is not None
        and position not in skipped
        and not tensor.is_constant
        and not tensor.is_variable
    ]
    return (*inputs, *graph.outputs_of(operator))


def parameters(graph: Graph, operator: Operator) -> tuple[Tensor, ...]:
    """The operator's weights, shapes and axes, as far as it has them."""
    positions = PARAMETER_INPUTS.get(operator.opcode, ())
    return tuple(
        tensor
        for position, tensor in enumerate(graph.inputs_of(operator))
        if tensor is not None and position in positions and tensor.elements
    )


def computes_its_shape(graph: Graph, operator: Operator) -> bool:
    """Whether the shape of the operator's output depends on what the graph computes."""
    shapes = (input_of(graph, operator, i) for i in SHAPE_INPUTS.get(operator.opcode, ()))
    return any(tensor is not None and not tensor.is_constant for tensor in shapes)


def input_of(graph: Graph, operator: Operator, position: int) -> Tensor | None:
    """An input; None where the operator hasn't got it."""
    inputs = graph.inputs_of(operator)
    return inputs[position] if position < len(inputs) else None


def integers(graph: Graph, operator: Operator, position: int) -> tuple[int, ...] | None:
    """The values of a constant input, flat; None where it is computed or absent."""
    tensor = input_of(graph, operator, position)
    if tensor is None or tensor.data is None or not math.prod(tensor.shape):
        return None
    return tuple(int(value) for value in tensor.data.reshape(-1))


def axes(graph: Graph, operator: Operator, position: int, rank: int) -> frozenset[int]:
    """The axes that a constant input names, counted from 0; empty where it isn't known."""
    values = integers(graph, operator, position) or ()
    return frozenset(value + rank if value < 0 else value for value in values)

"""What can be said of a graph before the compiler sees it: one function a constraint."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from converters.tflite.graph import Graph, Operator, Tensor, TensorType
from device_runners.edge_tpu.mapping import CUSTOM_OP
from device_runners.runner import Finding, finding_at

Constraint = Callable[[Graph], Iterator[Finding]]

_EIGHT_BIT = frozenset({TensorType.INT8, TensorType.UINT8})

# Inputs that give a shape or a position: when one of them is computed, a size is dynamic.
_SHAPE_INPUTS: dict[str, tuple[int, ...]] = {
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


def not_compiled_yet(graph: Graph) -> Iterator[Finding]:
    """The model is not the compiler's output."""
    for op in graph.operators:
        if op.custom_code == CUSTOM_OP:
            yield finding_at(
                graph,
                op,
                "the model is compiled for the Edge TPU already",
                "give the model that it was compiled from",
            )
            return


def one_subgraph(graph: Graph) -> Iterator[Finding]:
    """The model is one subgraph: loops and conditions don't compile."""
    if graph.subgraphs > 1:
        yield Finding(
            f"the model has {graph.subgraphs} subgraphs, but the Edge TPU compiler takes one",
            hint="export the model without loops and conditions (unroll recurrent layers)",
        )


def quantized(graph: Graph) -> Iterator[Finding]:
    """The model computes on 8-bit activations."""
    if not any(_is_eight_bit(graph, op) for op in graph.operators):
        types = sorted({t.type for op in graph.operators for t in _activations(graph, op)})
        yield Finding(
            "the model is not fully quantized: no operator has 8-bit activations, they are "
            + ", ".join(types),
            hint="convert the model to full-integer int8: 'tidepool convert MODEL'",
        )


def static_shapes(graph: Graph) -> Iterator[Finding]:
    """No size depends on what the graph computes; a bare -1 in a shape signature is harmless."""
    for op in graph.operators:
        shapes = [t for i, t in _computed_inputs(graph, op) if _gives_shape(op, i)]
        if op.opcode == "SHAPE" or shapes:
            yield finding_at(
                graph,
                op,
                f"the model has dynamic sizes: {op.opcode} (operator {op.index}) computes a shape",
                "convert the model with the batch fixed at 1",
            )
            return


def eight_bit_operators(graph: Graph) -> Iterator[Finding]:
    """Operators on other types stay on the CPU, and so does all that follows the first of them."""
    if not any(_is_eight_bit(graph, op) for op in graph.operators):
        return  # one blocking finding says it
    for op in graph.operators:
        others = sorted({t.type for t in _activations(graph, op)} - _EIGHT_BIT)
        if others:
            yield finding_at(
                graph,
                op,
                f"{op.display_name} (operator {op.index}) works on {', '.join(others)} and will "
                "run on the CPU",
                "keep 8-bit activations throughout, inputs and outputs included",
                blocking=False,
            )


CONSTRAINTS: tuple[Constraint, ...] = (
    not_compiled_yet,
    one_subgraph,
    quantized,
    static_shapes,
    eight_bit_operators,
)


def _computed_inputs(graph: Graph, operator: Operator) -> Iterator[tuple[int, Tensor]]:
    for position, tensor in enumerate(graph.inputs_of(operator)):
        if tensor is not None and not tensor.is_constant:
            yield position, tensor


def _gives_shape(operator: Operator, position: int) -> bool:
    return position in _SHAPE_INPUTS.get(operator.opcode, ())


def _activations(graph: Graph, operator: Operator) -> list[Tensor]:
    tensors = [t for i, t in _computed_inputs(graph, operator) if not _gives_shape(operator, i)]
    tensors += graph.outputs_of(operator)
    # A recurrent op's state has a type of its own (int16 cells of an 8-bit LSTM).
    return [t for t in tensors if not t.is_variable]


def _is_eight_bit(graph: Graph, operator: Operator) -> bool:
    return all(t.type in _EIGHT_BIT for t in _activations(graph, operator))

"""What can be said of a graph before the compiler sees it: one function a constraint."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from converters.tflite.graph import Graph, Operator
from device_runners.edge_tpu.mapping import CUSTOM_OP
from device_runners.edge_tpu.operands import EIGHT_BIT, activations, computes_its_shape
from device_runners.runner import Finding, finding_at

Constraint = Callable[[Graph], Iterator[Finding]]


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
        types = sorted({t.type for op in graph.operators for t in activations(graph, op)})
        yield Finding(
            "the model is not fully quantized: no operator has 8-bit activations, they are "
            + ", ".join(types),
            hint="convert the model to full-integer int8: 'tidepool convert MODEL'",
        )


def static_shapes(graph: Graph) -> Iterator[Finding]:
    """No size depends on what the graph computes; a bare -1 in a shape signature is harmless."""
    for op in graph.operators:
        if computes_its_shape(graph, op):
            yield finding_at(
                graph,
                op,
                f"the model has dynamic sizes: the shape that {op.opcode} (operator {op.index}) "
                "gives is computed",
                "convert the model with the batch fixed at 1",
            )
            return


def eight_bit_operators(graph: Graph) -> Iterator[Finding]:
    """Operators on other types stay on the CPU, and so does all that follows the first of them."""
    if not any(_is_eight_bit(graph, op) for op in graph.operators):
        return  # one blocking finding says it
    for op in graph.operators:
        others = sorted({t.type for t in activations(graph, op)} - EIGHT_BIT)
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


def _is_eight_bit(graph: Graph, operator: Operator) -> bool:
    return all(tensor.type in EIGHT_BIT for tensor in activations(graph, operator))

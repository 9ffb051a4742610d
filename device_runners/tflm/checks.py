"""What stands between a graph and TFLM: one function a constraint.

Each constraint looks at the whole graph and returns all that it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from converters.tflite.graph import Graph, Operator, Tensor, TensorType
from device_runners.runner import Finding, finding_at
from device_runners.tflm.ops import add_method

Constraint = Callable[[Graph], Iterator[Finding]]

_FULL_INTEGER = "convert the model to full-integer int8: 'tidepool convert MODEL'"
_CONTROL_FLOW = "export the model without loops, conditions and variables"


def one_subgraph(graph: Graph) -> Iterator[Finding]:
    """The model is one subgraph."""
    if graph.subgraphs > 1:
        yield Finding(
            f"the model has {graph.subgraphs} subgraphs, but one is supported", hint=_CONTROL_FLOW
        )


def has_operators(graph: Graph) -> Iterator[Finding]:
    """There is something to compute."""
    if not graph.operators:
        yield Finding("the model has no operators", hint="give a model that computes something")


def known_ops(graph: Graph) -> Iterator[Finding]:
    """Every op is a builtin that TFLM has a kernel for."""
    for op in graph.operators:
        if add_method(op) is None:
            yield finding_at(
                graph,
                op,
                f"TFLM has no op {op.display_name} (operator {op.index}, {_label(graph, op)})",
                "replace the layer by ops that TFLM has, or compute it outside the model",
            )


def quantized_activations(graph: Graph) -> Iterator[Finding]:
    """Weights are used as integers, not turned into floats first (weight-only quantization)."""
    found = [op for op in graph.operators if _dequantizes_constant(graph, op)]
    if found:
        yield _summary(
            graph,
            found,
            "weight-only quantized: constant weights are turned into floats, which TFLM computes "
            "wrongly",
        )


def no_hybrid_ops(graph: Graph) -> Iterator[Finding]:
    """No op computes on float activations with integer weights (dynamic range quantization)."""
    found = [op for op in graph.operators if _is_hybrid(graph, op)]
    if found:
        yield _summary(
            graph,
            found,
            "dynamic-range quantized: integer weights with float activations, which TFLM refuses",
        )


def integer_activations(graph: Graph) -> Iterator[Finding]:
    """Every activation is int8 (or an integer that indexes or counts)."""
    by_type: dict[TensorType, list[Operator]] = {}
    for op in graph.operators:
        if _dequantizes_constant(graph, op) or _is_hybrid(graph, op):
            continue  # these have findings of their own
        for type_ in sorted({t.type for t in _activations(graph, op)}):
            # QUANTIZE to and from uint8 is what TFLM has for models with uint8 inputs.
            quantizes = type_ is TensorType.UINT8 and op.opcode == "QUANTIZE"
            if type_ not in _INTEGERS and not quantizes:
                by_type.setdefault(type_, []).append(op)
    for type_, found in by_type.items():
        yield _summary(graph, found, f"not full-integer int8: activations of {type_}")


CONSTRAINTS: tuple[Constraint, ...] = (
    one_subgraph,
    has_operators,
    known_ops,
    quantized_activations,
    no_hybrid_ops,
    integer_activations,
)

_INTEGERS = frozenset({TensorType.INT8, TensorType.INT32, TensorType.INT64, TensorType.BOOL})
_PACKED = frozenset({TensorType.INT4, TensorType.INT2, TensorType.UINT4})


def _activations(graph: Graph, operator: Operator) -> list[Tensor]:
    tensors = [t for t in graph.inputs_of(operator) if t is not None and not t.is_constant]
    tensors += graph.outputs_of(operator)
    # A recurrent op's state has a type of its own (int16 cells of an int8 LSTM).
    return [t for t in tensors if not t.is_variable]


def _dequantizes_constant(graph: Graph, operator: Operator) -> bool:
    source = graph.inputs_of(operator)[0] if operator.inputs else None
    return operator.opcode == "DEQUANTIZE" and source is not None and source.is_constant


def _is_hybrid(graph: Graph, operator: Operator) -> bool:
    constants = [t for t in graph.inputs_of(operator) if t is not None and t.is_constant]
    weights = {TensorType.INT8, *_PACKED}
    integer_weights = any(t.type in weights and t.quantization is not None for t in constants)
    floats = any(t.type.is_float for t in _activations(graph, operator))
    return integer_weights and floats and operator.opcode != "DEQUANTIZE"


def _summary(graph: Graph, operators: list[Operator], message: str) -> Finding:
    first = operators[0]
    count = "1 operator" if len(operators) == 1 else f"{len(operators)} operators"
    text = f"{message}, in {count} (first: {first.opcode} {first.index}, {_label(graph, first)})"
    return finding_at(graph, first, text, _FULL_INTEGER)


def _label(graph: Graph, operator: Operator) -> str:
    # The converter joins the names of all that it fused; the first one finds the place.
    return f"'{_output_name(graph, operator).split(';')[0]}'"


def _output_name(graph: Graph, operator: Operator) -> str:
    return graph.outputs_of(operator)[0].name if operator.outputs else ""

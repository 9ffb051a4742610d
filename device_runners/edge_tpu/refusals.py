"""What makes the compiler refuse a whole file, before it looks at single operators."""

from __future__ import annotations

from dataclasses import dataclass

from converters.tflite.graph import Graph, Operator, TensorType
from device_runners.edge_tpu.checks import (
    not_compiled_yet,
    one_subgraph,
    quantized,
)
from device_runners.edge_tpu.operands import computes_its_shape
from device_runners.edge_tpu.versions import (
    needs_newer_version,
    newer_version_fix,
    refusal_message,
    refused_codes,
)
from device_runners.runner import Finding, finding_at

DYNAMIC = "Attempting to use a delegate that only supports static-sized tensors"
FLEX = "Regular TensorFlow ops are not supported by this interpreter"
NOT_QUANTIZED = "Model not quantized"
NOT_PARSED = "Model could not be parsed"

_INTEGERS = frozenset({TensorType.INT32, TensorType.INT64})


@dataclass(frozen=True)
class Refusal:
    """A reason to refuse the file.

    Attributes:
        finding: What is wrong and what to do.
        message: What the compiler prints.
        operators: Indices of the operators to blame; empty when it is the file as a whole.
    """

    finding: Finding
    message: str
    operators: frozenset[int] = frozenset()


def refusals(graph: Graph) -> tuple[Refusal, ...]:
    """Every reason that the compiler has to refuse a file; none when it will compile."""
    found = [Refusal(finding, NOT_PARSED) for finding in not_compiled_yet(graph)]
    found += [Refusal(finding, NOT_PARSED) for finding in one_subgraph(graph)]
    found += _newer_versions(graph)
    found += _flex_ops(graph)
    found += _dynamic_shapes(graph)
    found += [Refusal(finding, NOT_QUANTIZED) for finding in quantized(graph)]
    return tuple(found)


def _newer_versions(graph: Graph) -> list[Refusal]:
    return [_newer_version(graph, *code) for code in refused_codes(graph)]


def _newer_version(graph: Graph, opcode: str, version: int) -> Refusal:
    operators = [op for op in graph.operators if (op.opcode, op.version) == (opcode, version)]
    culprits = [op for op in operators if needs_newer_version(graph, op)] or operators
    message = refusal_message(opcode, version)
    text = f"the compiler will refuse the file: {message}"
    if operators:
        text += f" (because of {len(culprits)}, the first is operator {culprits[0].index})"
        finding = finding_at(graph, culprits[0], text, newer_version_fix(opcode))
    else:
        text += " (it is in the file's table of ops, although no operator uses it)"
        finding = Finding(text, "remove the unused entry from the table")
    return Refusal(finding, message, frozenset(op.index for op in culprits))


def _flex_ops(graph: Graph) -> list[Refusal]:
    flex = [op for op in graph.operators if op.custom_code.startswith("Flex")]
    if not flex:
        return []
    finding = finding_at(
        graph,
        flex[0],
        f"the compiler will refuse the file: {flex[0].custom_code} is an op of TensorFlow, not of "
        "TFLite",
        "convert without SELECT_TF_OPS: replace the layers that need it",
    )
    return [Refusal(finding, FLEX, frozenset(op.index for op in flex))]


def _dynamic_shapes(graph: Graph) -> list[Refusal]:
    dynamic = [op for op in graph.operators if computes_its_shape(graph, op)]
    if not dynamic:
        return []
    blamed = {op.index for op in dynamic} | _shape_arithmetic(graph, dynamic)
    first = graph.operators[min(blamed)]
    finding = finding_at(
        graph,
        first,
        f"the compiler will refuse the file: the shape that {dynamic[0].opcode} (operator "
        f"{dynamic[0].index}) gives is computed, from {first.opcode} (operator {first.index}) on",
        "convert the model with the batch fixed at 1",
    )
    return [Refusal(finding, DYNAMIC, frozenset(blamed))]


def _shape_arithmetic(graph: Graph, dynamic: list[Operator]) -> set[int]:
    """The operators on integers that the dynamic ones' inputs come from."""
    found: set[int] = set()
    waiting = list(dynamic)
    while waiting:
        for tensor in waiting.pop().inputs:
            producer = graph.producer(tensor)
            if producer is None or producer.index in found:
                continue
            if all(t.type in _INTEGERS for t in graph.outputs_of(producer)):
                found.add(producer.index)
                waiting.append(producer)
    return found

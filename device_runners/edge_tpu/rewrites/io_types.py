"""Makes the model's inputs and outputs integers where only QUANTIZE or DEQUANTIZE stands there.

A conversion with float inputs and outputs puts a QUANTIZE in front and a DEQUANTIZE behind: both
run on the CPU.

Exact, but the interface changes: the host quantizes the inputs and dequantizes the outputs with
the scale and zero point that the model's tensors carry, as these two ops did.
"""

from __future__ import annotations

from converters.tflite.graph import Graph, Operator, Tensor
from device_runners.edge_tpu.operands import EIGHT_BIT
from device_runners.edge_tpu.rewrites.change import Change, described
from device_runners.edge_tpu.rewrites.edit import GraphEdit


def match(graph: Graph) -> bool:
    """Whether an input is only quantized, or an output only dequantized."""
    return bool(_quantizing(graph) or _dequantizing(graph))


def transform(graph: Graph) -> Change:
    """Takes the integer tensors as inputs and outputs, in place of the float ones."""
    quantizing, dequantizing = _quantizing(graph), _dequantizing(graph)
    edit = GraphEdit(graph)
    for op in quantizing:
        edit.replace(op)
    inner = {op.inputs[0]: op.outputs[0] for op in quantizing}
    outer = {op.outputs[0]: op.inputs[0] for op in dequantizing}
    notes = [_note("input", graph.outputs_of(op)[0]) for op in quantizing]
    notes += [_note("output", graph.tensors[op.inputs[0]]) for op in dequantizing]
    changed = edit.graph(
        inputs=[inner.get(index, index) for index in graph.inputs],
        outputs=[outer.get(index, index) for index in graph.outputs],
    )
    operators = (*quantizing, *dequantizing)
    return Change(changed, tuple(described(graph, op) for op in operators), "; ".join(notes))


def _quantizing(graph: Graph) -> list[Operator]:
    """The QUANTIZE of each float input that nothing else reads."""
    found = []
    for index in dict.fromkeys(graph.inputs):
        readers = graph.consumers(index)
        if (
            len(readers) == 1
            and readers[0].opcode == "QUANTIZE"
            and graph.tensors[index].type.is_float
            and graph.outputs_of(readers[0])[0].type in EIGHT_BIT
            and index not in graph.outputs
            and readers[0].outputs[0] not in graph.outputs
        ):
            found.append(readers[0])
    return found


def _dequantizing(graph: Graph) -> list[Operator]:
    """The DEQUANTIZE of each float output that nothing else reads, behind a computed tensor."""
    found = []
    for index in dict.fromkeys(graph.outputs):
        op = graph.producer(index)
        if (
            op is not None
            and op.opcode == "DEQUANTIZE"
            and graph.tensors[op.inputs[0]].type in EIGHT_BIT
            and graph.producer(op.inputs[0]) is not None
            and not graph.consumers(index)
            and graph.outputs.count(index) == 1
        ):
            found.append(op)
    # Two outputs can't become the same tensor.
    sources = [op.inputs[0] for op in found]
    return [
        op
        for op, source in zip(found, sources, strict=True)
        if sources.count(source) == 1 and source not in graph.outputs
    ]


def _note(end: str, tensor: Tensor) -> str:
    return (
        f"{end} '{tensor.name}' is {tensor.type}: "
        f"real = {tensor.scale:.9g} * (q - {tensor.zero_point})"
    )

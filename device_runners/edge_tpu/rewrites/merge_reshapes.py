"""Joins reshapes that follow each other, and drops those that change nothing.

Converters leave none; the other passes put reshapes around what they insert.

Exact: a reshape moves no bytes.
"""

from __future__ import annotations

from dataclasses import replace

from converters.tflite.graph import Graph, Operator, Tensor
from device_runners.edge_tpu.rewrites.edit import GraphEdit

_RESHAPES = frozenset({"EXPAND_DIMS", "RESHAPE", "SQUEEZE"})


def match(graph: Graph, operator: Operator) -> bool:
    """A RESHAPE of a reshaped tensor, or to the shape that its input has."""
    if operator.opcode != "RESHAPE":
        return False
    root = _root(graph, operator)
    return root.index != operator.inputs[0] or _is_idle(graph, operator, root)


def transform(graph: Graph, operator: Operator) -> Graph:
    """Reads what the first of the reshapes read."""
    root = _root(graph, operator)
    edit = GraphEdit(graph)
    if not _is_idle(graph, operator, root):
        edit.replace(operator, replace(operator, inputs=(root.index, *operator.inputs[1:])))
        return edit.graph()
    output = operator.outputs[0]
    edit.replace(operator)
    for reader in graph.consumers(output):
        inputs = tuple(root.index if index == output else index for index in reader.inputs)
        edit.replace(reader, replace(reader, inputs=inputs))
    return edit.graph()


def _root(graph: Graph, operator: Operator) -> Tensor:
    root = graph.tensors[operator.inputs[0]]
    producer = graph.producer(root.index)
    while producer is not None and producer.opcode in _RESHAPES:
        source = graph.tensors[producer.inputs[0]]
        if source.quantization != root.quantization:
            break
        root, producer = source, graph.producer(source.index)
    return root


def _is_idle(graph: Graph, operator: Operator, root: Tensor) -> bool:
    output = graph.outputs_of(operator)[0]
    return (
        output.shape == root.shape
        and output.quantization == root.quantization
        and output.index not in graph.outputs
    )

"""How TFLite splits a graph between a delegate and the CPU."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from converters.tflite.graph import Graph, Operator


@dataclass(frozen=True)
class Part:
    """Operators that run in one piece.

    Attributes:
        supported: Whether the delegate takes them.
        operators: Their indices.
    """

    supported: bool
    operators: tuple[int, ...]


def partition(graph: Graph, supported: Set[int]) -> tuple[Part, ...]:
    """Splits a graph into parts that run one after the other.

    A part starts with the first operator whose inputs are all there, and takes in every operator
    of the same kind (supported or not) that can run without leaving the part; the next part
    starts with what is ready then. This is what TFLite does for every delegate
    (``PartitionGraphIntoIndependentNodeSubsets`` in its ``graph_info.cc``).

    Args:
        graph: The graph.
        supported: Indices of the operators that the delegate takes.
    """
    waiting = list(graph.operators)
    missing = {tensor for op in waiting for tensor in op.outputs}
    parts: list[Part] = []
    while waiting:
        kind: bool | None = None
        taken: list[int] = []
        moved = True
        while moved:
            moved = False
            rest: list[Operator] = []
            for op in waiting:
                if kind in (None, op.index in supported) and missing.isdisjoint(op.inputs):
                    kind = op.index in supported
                    taken.append(op.index)
                    missing.difference_update(op.outputs)
                    moved = True
                else:
                    rest.append(op)
            waiting = rest
        if not taken:
            break  # an operator reads what nothing writes: the reader refuses such graphs
        parts.append(Part(bool(kind), tuple(sorted(taken))))
    return tuple(parts)


def delegated(parts: tuple[Part, ...]) -> Part | None:
    """The part that becomes the Edge TPU's one subgraph: the first supported one."""
    return next((part for part in parts if part.supported), None)


def islands(graph: Graph, within: Set[int], operators: Set[int]) -> frozenset[int]:
    """Some operators, and those of ``within`` that are connected with them inside of ``within``."""
    found = set(operators)
    waiting = list(operators)
    while waiting:
        op = graph.operators[waiting.pop()]
        neighbors = {
            consumer.index for output in op.outputs for consumer in graph.consumers(output)
        }
        producers = (graph.producer(tensor) for tensor in op.inputs)
        neighbors.update(producer.index for producer in producers if producer is not None)
        fresh = (neighbors & within) - found
        found |= fresh
        waiting.extend(fresh)
    return frozenset(found)


def ancestors(graph: Graph, operators: Set[int]) -> frozenset[int]:
    """Indices of the operators that any of some operators needs, directly or not."""
    found: set[int] = set()
    waiting = list(operators)
    while waiting:
        for tensor in graph.operators[waiting.pop()].inputs:
            producer = graph.producer(tensor)
            if producer is not None and producer.index not in found:
                found.add(producer.index)
                waiting.append(producer.index)
    return frozenset(found)


def descendants(graph: Graph, operator: Operator) -> frozenset[int]:
    """Indices of the operators that need the operator's outputs, directly or not."""
    found: set[int] = set()
    waiting = [operator]
    while waiting:
        for tensor in waiting.pop().outputs:
            for consumer in graph.consumers(tensor):
                if consumer.index not in found:
                    found.add(consumer.index)
                    waiting.append(consumer)
    return frozenset(found)

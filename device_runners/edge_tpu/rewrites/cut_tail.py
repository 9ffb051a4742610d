"""Cuts off the end of a model that can't map, as a second model for the host.

An ARG_MAX, a DEQUANTIZE with float arithmetic behind it, a decoder or a non-maximum suppression
keeps the model from mapping as a whole, and an op that the compiler's TFLite doesn't know makes it
refuse the file. What comes before them, the head, is compiled alone; the tail takes the head's
outputs.

Exact: the operators are the same, on the same tensors; head, then tail, is the whole model.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from enum import StrEnum

from converters.tflite.graph import Graph, Operator, OperatorCode
from device_runners.edge_tpu.macs import operator_macs
from device_runners.edge_tpu.partition import ancestors, descendants
from device_runners.edge_tpu.preflight import preflight
from device_runners.edge_tpu.refusals import refusals
from device_runners.edge_tpu.rewrites.edit import compact
from device_runners.edge_tpu.rules import broken_rule


class Part(StrEnum):
    """Where a tensor comes from."""

    INPUT = "input"
    HEAD = "head"
    TAIL = "tail"


@dataclass(frozen=True)
class Source:
    """An input of the model, or an output of one of its parts.

    Attributes:
        part: Which.
        position: Its place among those inputs or outputs.
    """

    part: Part
    position: int


@dataclass(frozen=True, eq=False)
class Cut:
    """A model in two parts.

    Attributes:
        head: What goes to the Edge TPU.
        tail: What runs on the host.
        tail_inputs: For each input of the tail where it comes from.
        outputs: For each output of the whole model where it comes from.
        operators: Indices of the tail's operators in the whole model.
    """

    head: Graph
    tail: Graph
    tail_inputs: tuple[Source, ...]
    outputs: tuple[Source, ...]
    operators: tuple[int, ...]


def cut(graph: Graph) -> Cut | None:
    """Cuts a graph in two; None where that doesn't leave a head that maps.

    What the compiler leaves on the CPU at the start of a model stays in the head: it strands
    nothing. The head has to hold at least half of the multiply-accumulates (a larger rest is no
    tail: its first obstacle is worth a change of the model), and a tail with some is cut only
    from a file that the compiler refuses as a whole.
    """
    refused = refusals(graph)
    blamed = frozenset(index for refusal in refused for index in refusal.operators)
    obstacles = blamed | {op.index for op in graph.operators if broken_rule(graph, op)}
    behind = obstacles - _start(graph, obstacles - blamed)
    for index in tuple(behind):
        behind |= descendants(graph, graph.operators[index])
    on_tpu = frozenset(range(len(graph.operators))) - behind - obstacles
    start = ancestors(graph, on_tpu) & obstacles
    tail = frozenset(range(len(graph.operators))) - on_tpu - start
    if not tail or not on_tpu or not _is_worth_it(graph, tail, bool(refused)):
        return None
    parts = _parts(graph, tail)
    prediction = preflight(parts.head)
    if prediction.refused or len(prediction.ops) - prediction.mapped_ops > len(start):
        return None
    return parts


def _start(graph: Graph, obstacles: Set[int]) -> frozenset[int]:
    """The obstacles that stand behind nothing but obstacles: the model starts with them."""
    return frozenset(index for index in obstacles if ancestors(graph, {index}) <= obstacles)


def _is_worth_it(graph: Graph, tail: Set[int], refused: bool) -> bool:
    macs = [operator_macs(graph, op) for op in graph.operators]
    behind = sum(macs[index] for index in tail)
    return behind == 0 or (refused and 2 * behind <= sum(macs))


def _parts(graph: Graph, tail: Set[int]) -> Cut:
    before = [op for op in graph.operators if op.index not in tail]
    behind = [op for op in graph.operators if op.index in tail]
    given = {output for op in before for output in op.outputs}
    computed = {output for op in behind for output in op.outputs}
    read = list(dict.fromkeys(i for op in behind for i in op.inputs))
    crossing = [index for index in read if index in given or index in graph.inputs]
    ends = [index for index in graph.outputs if index in given]
    head_outputs = tuple(dict.fromkeys([*ends, *(i for i in crossing if i in given)]))
    tail_outputs = tuple(dict.fromkeys(i for i in graph.outputs if i in computed))

    def source(index: int) -> Source:
        places = ((Part.HEAD, head_outputs), (Part.TAIL, tail_outputs), (Part.INPUT, graph.inputs))
        return next(Source(part, at.index(index)) for part, at in places if index in at)

    return Cut(
        head=_part(graph, before, graph.inputs, head_outputs),
        tail=_part(graph, behind, tuple(crossing), tail_outputs),
        tail_inputs=tuple(source(index) for index in crossing),
        outputs=tuple(source(index) for index in graph.outputs),
        operators=tuple(op.index for op in behind),
    )


def _part(
    graph: Graph, operators: list[Operator], inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> Graph:
    renumbered = tuple(replace(op, index=index) for index, op in enumerate(operators))
    codes = dict.fromkeys(OperatorCode(op.opcode, op.version, op.custom_code) for op in operators)
    return compact(
        replace(
            graph,
            operators=renumbered,
            inputs=inputs,
            outputs=outputs,
            operator_codes=tuple(codes),
        )
    )

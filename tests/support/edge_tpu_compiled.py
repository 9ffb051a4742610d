"""What the Edge TPU compiler would make of a graph: parts of it behind a custom op."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from support.edge_tpu_package import CACHING, EXECUTION, options, package

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, Operator
from converters.tflite.writer import write_graph

TOKEN = 0xF00D_CAFE_0000_0001


def relu_chain(name: str, length: int = 4) -> Graph:
    """ReLUs one after the other on 8 int8 values; every tensor has a name of its own."""
    builder = GraphBuilder(name)
    x = builder.input((1, 8), 0.5, 0)
    for _ in range(length):
        x = builder.op("RELU", [x], None, shape=(1, 8), scale=0.5, zero_point=0)
    builder.output(x)
    graph = builder.graph()
    tensors = tuple(dataclasses.replace(t, name=f"{name}/t{t.index}") for t in graph.tensors)
    return dataclasses.replace(graph, tensors=tensors)


def compiled(
    graph: Graph,
    operators: Collection[int] | None = None,
    *,
    on_cpu: Collection[int] = (),
    token: int = TOKEN,
    cached_bytes: int = 640,
) -> bytes:
    """A compiled file of some of a graph's operators, all when none are named.

    Args:
        graph: The graph.
        operators: Indices of the operators that the file is made of: a segment.
        on_cpu: Those of them that stay on the CPU, behind the others.
        token: The caching token of its executables.
        cached_bytes: The parameters that it caches; 0 for one executable that streams.
    """
    indices = sorted(range(len(graph.operators)) if operators is None else operators)
    on_tpu = [graph.operators[i] for i in indices if i not in on_cpu]
    rest = [graph.operators[i] for i in indices if i in on_cpu]
    custom: list[Operator] = []
    if on_tpu:
        custom.append(_custom_op(graph, on_tpu, token, cached_bytes))
    chain = tuple(dataclasses.replace(op, index=place) for place, op in enumerate([*custom, *rest]))
    every = [graph.operators[i] for i in indices]
    inputs, outputs = _ends(graph, every)
    return write_graph(dataclasses.replace(graph, operators=chain, inputs=inputs, outputs=outputs))


def _custom_op(graph: Graph, operators: list[Operator], token: int, cached_bytes: int) -> Operator:
    inputs, outputs = _ends(graph, operators)
    execution: dict[int, Any] = EXECUTION | {14: ("u64", token)}
    executables = [execution, CACHING | {6: ("bytes", bytes(cached_bytes)), 14: ("u64", token)}]
    if not cached_bytes:
        executables = [{k: v for k, v in EXECUTION.items() if k != 14} | {13: ("i16", 0)}]
    return dataclasses.replace(
        operators[0],
        opcode="CUSTOM",
        custom_code="edgetpu-custom-op",
        custom_options=options({"1": 0, "4": package(executables), "5": -1}),
        version=1,
        options=None,
        inputs=inputs,
        outputs=outputs,
    )


def _ends(graph: Graph, operators: list[Operator]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What a set of operators takes from outside, and what it gives."""
    made = {t for op in operators for t in op.outputs}
    taken = {t for op in operators for t in op.inputs if t >= 0 and not graph.tensor(t).is_constant}
    inside = {op.index for op in operators}
    given = {
        t
        for t in made
        if t in graph.outputs or any(c.index not in inside for c in graph.consumers(t))
    }
    return tuple(sorted(taken - made)), tuple(sorted(given))

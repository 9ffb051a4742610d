from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from support.graphs import random_graphs

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from converters.tflite.options import AddOptions
from device_runners.cgen.memory import Memory, allocate
from device_runners.cgen.operation import Emission, OpContext
from device_runners.cgen.passes import run_passes
from device_runners.cgen.program import Program
from device_runners.cgen.registry import operations


def allocated(graph: Graph, scratch: dict[int, int] | None = None) -> Memory:
    return allocated_program(run_passes(Program(graph)), scratch)


def allocated_program(program: Program, scratch: dict[int, int] | None = None) -> Memory:
    emissions = {}
    for op in program.graph.operators:
        if not program.is_silent(op):
            emission = operations()[op.opcode].emit(OpContext(program.graph, op))
            if scratch and op.index in scratch:
                emission = Emission(emission.kernel, (), scratch_bytes=scratch[op.index])
            emissions[op.index] = emission
    return allocate(program, emissions)


@settings(max_examples=60, deadline=None)
@given(random_graphs())
def test_tensors_alive_together_share_memory_only_on_purpose(drawn: tuple[int, Graph]) -> None:
    """An independent replay: no operator overwrites bytes that somebody still has to read."""
    program = run_passes(Program(drawn[1]))
    graph, memory = program.graph, allocated_program(program)
    owner: dict[int, int] = {}  # byte of the arena -> version of the value stored there
    values: dict[int, int] = {}  # tensor -> version of its value
    for version, tensor in enumerate(graph.inputs):
        values[tensor] = version
        _store(owner, memory, tensor, version)
    for op in graph.operators:
        for position, tensor in enumerate(op.inputs):
            read = op.opcode not in ("RESHAPE", "MEAN", "PAD", "PADV2") or position == 0
            if tensor in values and read:
                _assert_intact(owner, memory, tensor, values[tensor])
        output = op.outputs[0]
        source = op.inputs[0]
        if output in program.aliases:
            values[output] = values[source]  # the same bytes under another name
            assert memory.tensors[output].offset == memory.tensors[source].offset
        else:
            values[output] = 1000 + op.index
            _store(owner, memory, output, values[output])
    for tensor in graph.outputs:
        _assert_intact(owner, memory, tensor, values[tensor])


def _store(owner: dict[int, int], memory: Memory, tensor: int, version: int) -> None:
    place = memory.tensors[tensor]
    assert place.offset + place.bytes <= memory.arena_bytes
    owner.update(dict.fromkeys(range(place.offset, place.offset + place.bytes), version))


def _assert_intact(owner: dict[int, int], memory: Memory, tensor: int, version: int) -> None:
    place = memory.tensors[tensor]
    assert {owner[b] for b in range(place.offset, place.offset + place.bytes)} == {version}


@settings(max_examples=60, deadline=None)
@given(random_graphs())
def test_never_below_the_lower_bound(drawn: tuple[int, Graph]) -> None:
    memory = allocated(drawn[1])
    assert memory.arena_bytes >= memory.lower_bound_bytes > 0


def test_scratch_is_free_while_its_operator_runs() -> None:
    b = GraphBuilder("scratch")
    x, y = b.input((64,), 0.1, 0), b.input((64,), 0.1, 0)
    z = b.op("ADD", [x, y], AddOptions(), shape=(64,), scale=0.2, zero_point=0, version=2)
    b.output(z)
    memory = allocated(b.graph(), scratch={0: 100})
    places = [(memory.tensors[t].offset, 64) for t in (x, y, z)]
    places.append((memory.scratch[0].offset, memory.scratch[0].bytes))
    taken = np.concatenate([np.arange(offset, offset + size) for offset, size in places])
    assert len(np.unique(taken)) == len(taken)
    assert memory.arena_bytes == 3 * 64 + 112


def test_an_input_that_is_an_output_is_not_overwritten() -> None:
    b = GraphBuilder("kept")
    x = b.input((64,), 0.1, 0)
    y = b.op("RELU", [x], None, shape=(64,), scale=0.1, zero_point=0, version=2)
    b.output(x)
    b.output(y)
    memory = allocated(b.graph())
    assert memory.tensors[x].offset != memory.tensors[y].offset

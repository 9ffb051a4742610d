"""The arena of a program: who lives when, who takes over whose memory, and where all of it lies.

Time is counted in operators: step i is operator i, step -1 is before the first one (the graph's
inputs are filled in), and the step after the last operator is when the outputs are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from device_runners.cgen.operation import Emission
from device_runners.cgen.planner import Buffer, plan
from device_runners.cgen.program import Program

ARENA_ALIGNMENT = 16


@dataclass(frozen=True)
class Placement:
    """Where a tensor lies, and when it is alive there (inclusive, in steps)."""

    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Memory:
    """The arena's plan.

    Attributes:
        tensors: Tensor index -> placement; aliases included, constants not.
        scratch: Operator index -> placement of its scratch memory.
        arena_bytes: The arena's size.
        lower_bound_bytes: No placement of these lifetimes is smaller.
    """

    tensors: dict[int, Placement]
    scratch: dict[int, Placement]
    arena_bytes: int
    lower_bound_bytes: int


@dataclass
class _Life:
    bytes: int
    first: int
    last: int


def allocate(program: Program, emissions: dict[int, Emission]) -> Memory:
    """Plans the arena.

    Args:
        program: The program.
        emissions: Operator index -> what it becomes, for the operators that have calls.
    """
    lives = _lives(program)
    owners = _take_over(program, emissions, lives)
    buffers = [
        Buffer(key, life.bytes, life.first, life.last)
        for key, life in _merged(lives, owners).items()
    ]
    scratch_keys = {}
    for index, emission in emissions.items():
        if emission.scratch_bytes:
            scratch_keys[index] = -1 - index
            buffers.append(Buffer(-1 - index, emission.scratch_bytes, index, index))
    result = plan(buffers, alignment=ARENA_ALIGNMENT)
    tensors = {}
    for tensor in program.graph.tensors:
        root = program.root(tensor.index)
        if root in lives:
            life = lives[root]
            offset = result.offsets[_owner(owners, root)]
            tensors[tensor.index] = Placement(offset, tensor.bytes, life.first, life.last)
    return Memory(
        tensors=tensors,
        scratch={
            index: Placement(result.offsets[key], emissions[index].scratch_bytes, index, index)
            for index, key in scratch_keys.items()
        },
        arena_bytes=result.arena_bytes,
        lower_bound_bytes=result.lower_bound_bytes,
    )


def _lives(program: Program) -> dict[int, _Life]:
    """Root tensor -> its lifetime, for every tensor that is computed or an input."""
    graph = program.graph
    lives: dict[int, _Life] = {}

    def touch(tensor: int, step: int) -> None:
        root = program.root(tensor)
        if graph.tensor(root).is_constant:
            return
        life = lives.setdefault(root, _Life(graph.tensor(root).bytes, step, step))
        life.last = max(life.last, step)

    for tensor in graph.inputs:
        touch(tensor, -1)
    for operator in graph.operators:
        # Operands that hold a shape or axes are constants, or (of RESHAPE) never read.
        data = [t for t in operator.inputs if t >= 0 and program.root(t) in lives]
        for tensor in (*data, *operator.outputs):
            touch(tensor, operator.index)
    for tensor in graph.outputs:
        touch(tensor, len(graph.operators))
    return lives


def _take_over(
    program: Program, emissions: dict[int, Emission], lives: dict[int, _Life]
) -> dict[int, int]:
    """Output tensor -> the input whose memory it takes over, where the operator allows it.

    The input must die with the operator and be at least as large. Taking over never raises the
    lower bound: at this step the two shared the arena, and now they share one buffer.
    """
    owners: dict[int, int] = {}
    for operator in program.graph.operators:
        emission = emissions.get(operator.index)
        if emission is None:
            continue
        output = operator.outputs[0]
        for tensor in emission.in_place:
            root = program.root(tensor)
            if (
                root in lives
                and lives[root].last == operator.index
                and lives[root].bytes >= lives[output].bytes
                and _reads_once(program, operator.inputs, tensor)
            ):
                owners[output] = root
                break
    return owners


def _reads_once(program: Program, inputs: Sequence[int], tensor: int) -> bool:
    """Whether no other view of the same memory is among the operands."""
    root = program.root(tensor)
    return all(other == tensor for other in inputs if other >= 0 and program.root(other) == root)


def _owner(owners: dict[int, int], tensor: int) -> int:
    while tensor in owners:
        tensor = owners[tensor]
    return tensor


def _merged(lives: dict[int, _Life], owners: dict[int, int]) -> dict[int, _Life]:
    """Lifetimes of the buffers: those who take over extend the first owner's."""
    merged: dict[int, _Life] = {}
    for tensor, life in lives.items():
        owner = _owner(owners, tensor)
        total = merged.setdefault(owner, _Life(life.bytes, life.first, life.last))
        total.bytes = max(total.bytes, life.bytes)
        total.first = min(total.first, life.first)
        total.last = max(total.last, life.last)
    return merged

"""The arena of a program: who lives when, who takes over whose memory, and where all of it lies.

Time is counted in operators: step i is operator i, step -1 is before the first one (the graph's
inputs are filled in), and the step after the last operator is when the outputs are read. An
operator's output may overlap an input that dies with the operator, as far as the order in which the
kernel reads and writes allows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from device_runners.cgen.kernel_orders import in_place_inputs
from device_runners.cgen.operation import Emission
from device_runners.cgen.overlap import Overlap, overlaps
from device_runners.cgen.planner import Buffer, plan
from device_runners.cgen.program import Program
from device_runners.cgen.splitting import alternatives

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
        lower_bound_bytes: What one operator needs by itself: no plan is smaller.
        is_optimal: Whether it is proven that no plan with these kernels is smaller.
        live_bytes: The largest set of tensors that are alive at once: what a plan without overlap
            takes at least.
    """

    tensors: dict[int, Placement]
    scratch: dict[int, Placement]
    arena_bytes: int
    lower_bound_bytes: int
    is_optimal: bool = False
    live_bytes: int = 0

    def dead(self, step: int) -> tuple[tuple[int, int], ...]:
        """(offset, bytes) of what nobody needs after a step; -1 is before the first operator."""
        alive = sorted(
            (p.offset, p.offset + p.bytes)
            for p in self.tensors.values()
            if p.first <= step < p.last
        )
        gaps, end = [], 0
        for first, last in [*alive, (self.arena_bytes, self.arena_bytes)]:
            if first > end:
                gaps.append((end, first - end))
            end = max(end, last)
        return tuple(gaps)


@dataclass
class _Life:
    bytes: int
    first: int
    last: int
    shrinks: list[tuple[int, int]] = field(default_factory=list)


def plan_memory(
    program: Program, emissions: Mapping[int, Emission], *, alignment: int = ARENA_ALIGNMENT
) -> tuple[dict[int, Emission], Memory]:
    """Plans the arena, and runs operators in parts where that makes it smaller.

    Args:
        program: The program.
        emissions: Operator index -> what it becomes, for the operators that have calls.
        alignment: Of every tensor and scratch memory.

    Returns:
        The emissions, some of them in parts, and the plan for them.
    """
    chosen = dict(emissions)
    best = allocate(program, chosen, alignment=alignment)
    if best.arena_bytes == best.lower_bound_bytes:
        return chosen, best
    for index in _at_the_peak(program, chosen, best.lower_bound_bytes):
        for other in alternatives(chosen[index]):
            candidate = allocate(program, {**chosen, index: other}, alignment=alignment)
            if candidate.arena_bytes < best.arena_bytes:
                chosen[index], best = other, candidate
    return chosen, best


def allocate(
    program: Program,
    emissions: Mapping[int, Emission],
    *,
    alignment: int = ARENA_ALIGNMENT,
    search: bool = True,
) -> Memory:
    """Plans the arena for operators as they are.

    Args:
        program: The program.
        emissions: Operator index -> what it becomes, for the operators that have calls.
        alignment: Of every tensor and scratch memory.
        search: See ``planner.plan``.
    """
    lives = _lives(program)
    owners = _take_over(program, emissions, lives)
    merged = _merged(lives, owners)
    buffers = [
        Buffer(key, life.bytes, life.first, life.last, tuple(life.shrinks))
        for key, life in merged.items()
    ]
    scratch_keys = {}
    for index, emission in emissions.items():
        if emission.scratch_bytes:
            scratch_keys[index] = -1 - index
            buffers.append(Buffer(-1 - index, emission.scratch_bytes, index, index))
    rules = _rules(program, emissions, merged, owners)
    result = plan(buffers, rules, alignment=alignment, search=search)
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
        is_optimal=result.is_optimal,
        live_bytes=max(_live_bytes(buffers, alignment).values(), default=0),
    )


def _live_bytes(buffers: Iterable[Buffer], alignment: int) -> dict[int, int]:
    """Step -> the sum of what is alive."""
    live: dict[int, int] = {}
    for buffer in buffers:
        for step in range(buffer.first, buffer.last + 1):
            size = -(-buffer.bytes_at(step) // alignment) * alignment
            live[step] = live.get(step, 0) + size
    return live


def _at_the_peak(
    program: Program, emissions: Mapping[int, Emission], bytes_at_least: int
) -> list[int]:
    """The operators around which more is alive than this: they need their overlap."""
    lives = _lives(program).items()
    live = _live_bytes((Buffer(t, x.bytes, x.first, x.last) for t, x in lives), ARENA_ALIGNMENT)
    return [index for index in emissions if live.get(index, 0) > bytes_at_least]


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
    read = {index for operator in graph.operators for index in operator.inputs if index >= 0}
    for tensor in sorted(index for index in read if graph.tensor(index).is_variable):
        # A state lasts from one inference to the next.
        touch(tensor, -1)
        touch(tensor, len(graph.operators))
    for operator in graph.operators:
        # Operands that hold a shape or axes are constants, or (of RESHAPE) never read.
        data = [t for t in operator.inputs if t >= 0 and program.root(t) in lives]
        for tensor in (*data, *operator.outputs):
            touch(tensor, operator.index)
    for tensor in graph.outputs:
        touch(tensor, len(graph.operators))
    return lives


def _rules(
    program: Program,
    emissions: Mapping[int, Emission],
    buffers: Mapping[int, _Life],
    owners: Mapping[int, int],
) -> dict[tuple[int, int], Overlap]:
    """(buffer of an input, buffer of an output) -> where the output may lie."""
    rules: dict[tuple[int, int], Overlap] = {}
    for operator in program.graph.operators:
        emission = emissions.get(operator.index)
        if emission is None:
            continue
        for (tensor, position), rule in overlaps(program.graph, emission).items():
            source = _owner(owners, program.root(tensor))
            output = _owner(owners, program.root(operator.outputs[position]))
            if source not in buffers or output == source:
                continue
            # They share this step only: one dies, the other one comes to life.
            if buffers[source].last == operator.index == buffers[output].first:
                known = rules.get((source, output), rule)
                rules[source, output] = known & rule
    return rules


def _take_over(
    program: Program, emissions: Mapping[int, Emission], lives: Mapping[int, _Life]
) -> dict[int, int]:
    """Output tensor -> the input whose memory it takes over, where that is allowed.

    The input must die with the operator and be at least as large. Taking over never raises the
    lower bound: at this step the two share the arena, and then they share one buffer.
    """
    owners: dict[int, int] = {}
    for operator in program.graph.operators:
        emission = emissions.get(operator.index)
        if emission is None:
            continue
        output = operator.outputs[0]
        for tensor in (*emission.in_place, *in_place_inputs(emission)):
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


def _owner(owners: Mapping[int, int], tensor: int) -> int:
    while tensor in owners:
        tensor = owners[tensor]
    return tensor


def _merged(lives: Mapping[int, _Life], owners: Mapping[int, int]) -> dict[int, _Life]:
    """Lifetimes of the buffers: those who take over extend the first owner's."""
    merged: dict[int, _Life] = {}
    for tensor, life in lives.items():
        owner = _owner(owners, tensor)
        if owner == tensor:
            merged[tensor] = _Life(life.bytes, life.first, life.last)
    # In the order in which they take over: each later one needs no more than those before it.
    for tensor, life in sorted(lives.items(), key=lambda item: item[1].first):
        total = merged[_owner(owners, tensor)]
        if tensor in owners:
            total.shrinks.append((life.first + 1, life.bytes))
            total.last = max(total.last, life.last)
    return merged

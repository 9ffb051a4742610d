"""Runs the passes over a graph, and measures what each of them saved.

Measured is what is generated before and after a pass, with the kernels of the level: the
multiply-accumulates of all calls, the constants that are stored, the arena that is planned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from device_runners.cgen.c_text import rodata_bytes
from device_runners.cgen.memory import Memory, allocate
from device_runners.cgen.operation import Emission
from device_runners.cgen.passes import PASSES, apply_pass, name_of
from device_runners.cgen.program import Program, Saving

Emit = Callable[[Program], dict[int, Emission]]
"""Operator index -> what it becomes, of every operator that has calls."""

_SEARCHED_OPERATORS = 64
"""The arena of larger graphs is compared without a search, which would double their time."""

_TEXTS = 3
"""What a pass did is told in so many sentences."""


@dataclass(frozen=True)
class PassSaving:
    """What a pass changed, and what that saved; negative where it costs.

    Attributes:
        name: The pass: its file in ``passes/``, or ``splitting``.
        text: What it did.
        operators: How many operators it changed or dropped.
        macs: Multiply-accumulates of an inference.
        arena_bytes: Planned memory.
        weights_bytes: Constants of the generated code.
    """

    name: str
    text: str
    operators: int
    macs: int
    arena_bytes: int
    weights_bytes: int


@dataclass(frozen=True)
class _Cost:
    macs: int
    arena_bytes: int
    weights_bytes: int


def simplify(
    program: Program, emit: Emit
) -> tuple[Program, dict[int, Emission], tuple[PassSaving, ...]]:
    """Applies all passes.

    Args:
        program: The program as it was read.
        emit: Makes the calls of a program.

    Returns:
        The program after all passes, its calls, and the passes that changed something.
    """
    emissions = emit(program)
    savings: list[PassSaving] = []
    cost: _Cost | None = None
    for one in PASSES:
        changed = apply_pass(one, program)
        if changed is program:
            continue
        before = cost or _cost(program, emissions)
        emissions = emit(changed)
        cost = _cost(changed, emissions)
        savings.append(
            PassSaving(
                name_of(one),
                *_told(changed.savings[len(program.savings) :]),
                before.macs - cost.macs,
                before.arena_bytes - cost.arena_bytes,
                before.weights_bytes - cost.weights_bytes,
            )
        )
        program = changed
    return program, emissions, tuple(savings)


def splitting_saving(
    program: Program, whole: Mapping[int, Emission], parts: Mapping[int, Emission], memory: Memory
) -> tuple[PassSaving, ...]:
    """What it saved to run operators in parts; empty if none was split.

    Args:
        program: The program.
        whole: Operator index -> its calls before the memory was planned.
        parts: The same afterwards.
        memory: The plan for them.
    """
    told = []
    for index, emission in parts.items():
        if emission is not whole[index]:
            operator = f"{program.graph.operators[index].opcode} {index}"
            text = f"{operator} runs in {len(emission.calls)} parts, bottom rows first"
            told.append(Saving("splitting", text, 1))
    if not told:
        return ()
    before = allocate(program, whole).arena_bytes
    return (PassSaving("splitting", *_told(told), 0, before - memory.arena_bytes, 0),)


def _told(savings: Sequence[Saving]) -> tuple[str, int]:
    """Text and number of operators of all changes of a pass."""
    texts = [saving.text for saving in savings[:_TEXTS]]
    if len(savings) > _TEXTS:
        texts.append(f"{len(savings) - _TEXTS} more like these")
    return "; ".join(texts), sum(saving.operators for saving in savings)


def _cost(program: Program, emissions: Mapping[int, Emission]) -> _Cost:
    search = len(program.graph.operators) <= _SEARCHED_OPERATORS
    arrays = {array.name: array for each in emissions.values() for array in each.constants}
    return _Cost(
        macs=sum(emission.macs for emission in emissions.values()),
        arena_bytes=allocate(program, emissions, search=search).arena_bytes,
        weights_bytes=sum(map(rodata_bytes, arrays.values())),
    )

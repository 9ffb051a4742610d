"""Graph transformations: one pass, one file, run in the order of ``PASSES``.

A pass module has ``match(program, operator) -> bool`` and ``transform(program, operator) ->
Program``. Passes must keep every tensor's value: a trace compares all of them with the reference.
Where one leaves channels out of a tensor it says what they hold (``Program.removed``), and the
comparison puts them back: then they are compared, too. The same goes for tensors that are nothing
but another one with padding around it (``Program.dropped``), and for those that became constants
(``Program.folded``).
"""

from __future__ import annotations

from types import ModuleType
from typing import Protocol

from converters.tflite.graph import Operator
from device_runners.cgen.passes import (
    alias_identities,
    alias_reshapes,
    dead_channels,
    drop_pads,
    fold_constants,
)
from device_runners.cgen.program import Program


class Pass(Protocol):
    """What a pass module provides."""

    def match(self, program: Program, operator: Operator) -> bool:
        """Whether the pass applies to an operator."""

    def transform(self, program: Program, operator: Operator) -> Program:
        """The program after it was applied."""


PASSES: tuple[Pass, ...] = (
    fold_constants,
    drop_pads,
    dead_channels,
    alias_reshapes,
    alias_identities,
)


def run_passes(program: Program) -> Program:
    """Applies every pass to every operator that it matches."""
    for one in PASSES:
        program = apply_pass(one, program)
    return program


def apply_pass(one: Pass, program: Program) -> Program:
    """Applies a pass to every operator that it matches; the same program if it matches none."""
    position = 0
    while position < len(program.graph.operators):
        count = len(program.graph.operators)
        operator = program.graph.operators[position]
        if one.match(program, operator):
            program = one.transform(program, operator)
        # Where an operator went, the next one has taken its place.
        position += len(program.graph.operators) == count
    return program


def name_of(one: Pass) -> str:
    """A pass is called after its file."""
    assert isinstance(one, ModuleType)
    return one.__name__.rpartition(".")[2]

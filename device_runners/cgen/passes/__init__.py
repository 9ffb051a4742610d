"""Graph transformations: one pass, one file, run in the order of ``PASSES``.

A pass module has ``match(program, operator) -> bool`` and ``transform(program, operator) ->
Program``. Passes must keep every tensor's value: a trace compares all of them with the reference.
"""

from __future__ import annotations

from typing import Protocol

from converters.tflite.graph import Operator
from device_runners.cgen.passes import alias_reshapes
from device_runners.cgen.program import Program


class Pass(Protocol):
    """What a pass module provides."""

    def match(self, program: Program, operator: Operator) -> bool:
        """Whether the pass applies to an operator."""

    def transform(self, program: Program, operator: Operator) -> Program:
        """The program after it was applied."""


PASSES: tuple[Pass, ...] = (alias_reshapes,)


def run_passes(program: Program) -> Program:
    """Applies every pass to every operator that it matches."""
    for one in PASSES:
        for operator in program.graph.operators:
            if one.match(program, operator):
                program = one.transform(program, operator)
    return program

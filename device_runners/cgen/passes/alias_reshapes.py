"""RESHAPE, SQUEEZE and EXPAND_DIMS move no bytes: their output is an alias of their input."""

from __future__ import annotations

from dataclasses import replace

from converters.tflite.graph import Operator
from device_runners.cgen.program import Program, Saving

_RESHAPES = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")


def match(program: Program, operator: Operator) -> bool:
    """One whose input lies in the arena; a constant has to be copied there."""
    return operator.opcode in _RESHAPES and not program.root_tensor(operator.inputs[0]).is_constant


def transform(program: Program, operator: Operator) -> Program:
    """Aliases the output to the input."""
    aliases = {**program.aliases, operator.outputs[0]: operator.inputs[0]}
    elements = program.graph.tensor(operator.outputs[0]).elements
    text = f"{operator.opcode} of {elements} elements is another shape of its input: no call"
    saving = Saving("alias_reshapes", text, 1)
    return replace(program, aliases=aliases, savings=(*program.savings, saving))

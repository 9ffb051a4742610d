"""RESHAPE of a computed tensor moves no bytes: its output is an alias of its input."""

from __future__ import annotations

from dataclasses import replace

from converters.tflite.graph import Operator
from device_runners.cgen.program import Program


def match(program: Program, operator: Operator) -> bool:
    """A RESHAPE whose input lies in the arena; a constant has to be copied there."""
    return operator.opcode == "RESHAPE" and not program.root_tensor(operator.inputs[0]).is_constant


def transform(program: Program, operator: Operator) -> Program:
    """Aliases the output to the input."""
    aliases = {**program.aliases, operator.outputs[0]: operator.inputs[0]}
    return replace(program, aliases=aliases)

"""What a rule of the Edge TPU is, and the fixes that depend on the op."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from converters.tflite.graph import Graph, Operator
from device_runners.edge_tpu import statuses

Holds = Callable[[Graph, Operator], bool]

_ON_THE_HOST = "end the model before it and compute it on the host"
REPLACEMENTS: dict[str, str] = {
    "ARG_MAX": "end the model before it and take the arg max on the host",
    "ARG_MIN": "end the model before it and take the arg min on the host",
    "BATCH_MATMUL": "replace attention by convolutions or dense layers with constant weights",
    "BATCH_TO_SPACE_ND": "write the dilated convolution with a dilation rate instead",
    "DEPTH_TO_SPACE": "replace it by a transposed convolution, or compute it on the host",
    "DIV": "multiply by the reciprocal, as a constant",
    "ELU": "replace elu by ReLU",
    "GATHER": "replace it by slices and a concatenation",
    "HARD_SWISH": "replace hard-swish by x * sigmoid(x), or by ReLU6",
    "LEAKY_RELU": "replace leaky ReLU by alpha * x + (1 - alpha) * relu(x), or by ReLU",
    "MIRROR_PAD": "pad with zeros",
    "NEG": (
        "multiply by -1: NEG has no int8 kernel (LayerNormalization and PReLU bring it; use "
        "BatchNormalization and ReLU)"
    ),
    "SPACE_TO_BATCH_ND": "write the dilated convolution with a dilation rate instead",
    "SPLIT_V": "split into equal parts, or use slices",
    "UNPACK": "use slices",
}
"""Opcode -> what to do about an op that the Edge TPU hasn't got."""


_TYPE_FIXES = {
    "CAST": "leave the conversion out: give the model int8 or uint8 inputs and outputs",
    "CUSTOM": _ON_THE_HOST,
    "NON_MAX_SUPPRESSION_V4": _ON_THE_HOST,
    "NON_MAX_SUPPRESSION_V5": _ON_THE_HOST,
}


class Basis(StrEnum):
    """What a rule rests on."""

    MEASURED = "measured"
    DOCUMENTED = "documented"
    RISK = "risk"


@dataclass(frozen=True)
class Rule:
    """A condition that an operator meets if it maps.

    Attributes:
        name: The function's name.
        message: Its docstring: the condition, in a sentence.
        status: What the compiler writes of an operator that breaks it.
        fix: What to do about it.
        opcodes: The ops that it is about; empty for all.
        basis: What it rests on. Breaking a rule of risk leaves the operator mapped, at risk.
        holds: Whether an operator meets it.
    """

    name: str
    message: str
    status: str
    fix: str
    opcodes: tuple[str, ...]
    basis: Basis
    holds: Holds

    def broken_by(self, graph: Graph, operator: Operator) -> bool:
        concerns = not self.opcodes or operator.opcode in self.opcodes
        return concerns and not self.holds(graph, operator)

    def fix_for(self, graph: Graph, operator: Operator) -> str:
        """The fix, in terms of the operator's own op where there is one."""
        if "QUANTIZE" in self.opcodes and any(map(graph.producer, operator.inputs)):
            # In the middle of the graph it is the end of a part that computes in float.
            return "replace the layers that compute in float before it"
        if self.status not in {statuses.NOT_SUPPORTED, statuses.DATA_TYPE}:
            return self.fix
        if operator.opcode == "DEQUANTIZE":
            return _dequantize_fix(graph, operator)
        fix = REPLACEMENTS.get(operator.opcode, self.fix)
        return _TYPE_FIXES.get(operator.opcode, fix) if self.status == statuses.DATA_TYPE else fix


def _dequantize_fix(graph: Graph, operator: Operator) -> str:
    consumers = [op for output in operator.outputs for op in graph.consumers(output)]
    if not consumers:
        return "leave it out: take int8 outputs and dequantize on the host"
    names = ", ".join(dict.fromkeys(op.display_name for op in consumers))
    fixes = dict.fromkeys(REPLACEMENTS[op.opcode] for op in consumers if op.opcode in REPLACEMENTS)
    return "; ".join([f"replace the layer that computes in float behind it ({names})", *fixes])


class RuleBook:
    """Rules in the order in which they are asked."""

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._rules: list[Rule] = []

    def rule(self, status: str, fix: str, *opcodes: str) -> Callable[[Holds], Holds]:
        """Makes a rule of a function, and the rule's message of the function's docstring."""

        def register(holds: Holds) -> Holds:
            message = " ".join((holds.__doc__ or "").split())
            rule = Rule(holds.__name__, message, status, fix, opcodes, self._basis, holds)
            self._rules.append(rule)
            return holds

        return register

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(self._rules)

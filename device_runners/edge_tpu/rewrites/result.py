"""What rewriting a graph gave."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from converters.tflite.graph import Graph
from device_runners.edge_tpu.rewrites.cut_tail import Source
from device_runners.runner import Finding


@dataclass(frozen=True)
class Applied:
    """A pass that changed the graph.

    Attributes:
        name: The pass.
        count: In how many places.
        operators: What it rewrote: opcode and name of the first output, as they were.
        exact: Whether every output is, bit by bit, what it was: under the reference kernels.
        note: What it does; where it changes what the host has to do, that too.
    """

    name: str
    count: int
    operators: tuple[str, ...]
    exact: bool
    note: str


@dataclass(frozen=True, eq=False)
class Rewritten:
    """A graph for the Edge TPU's compiler, and what is left for the host.

    Attributes:
        graph: What to compile: the same object as before if no pass matched.
        applied: The passes that matched, in order.
        tail: What runs on the host behind it; None when nothing was cut off.
        tail_inputs: For each input of the tail where it comes from.
        outputs: For each output of the whole model where it comes from.
        findings: What stands in the way that no pass can cure.
    """

    graph: Graph
    applied: tuple[Applied, ...]
    tail: Graph | None
    tail_inputs: tuple[Source, ...]
    outputs: tuple[Source, ...]
    findings: tuple[Finding, ...]

    def summary(self) -> dict[str, Any]:
        """The rewrites as plain values, for a report."""
        return {
            "applied": [dataclasses.asdict(one) for one in self.applied],
            "operators": len(self.graph.operators),
            "tail": None if self.tail is None else self._tail_summary(self.tail),
            "outputs": [dataclasses.asdict(source) for source in self.outputs],
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }

    def _tail_summary(self, tail: Graph) -> dict[str, Any]:
        inputs = zip(tail.input_tensors, self.tail_inputs, strict=True)
        return {
            "operators": [op.display_name for op in tail.operators],
            "inputs": [{"name": t.name, **dataclasses.asdict(source)} for t, source in inputs],
            "outputs": [tensor.name for tensor in tail.output_tensors],
        }

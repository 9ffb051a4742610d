"""What every device runner is: three verbs over a graph.

``check`` says whether a graph can be built for the device, ``build`` writes the artifacts, and
``run`` executes them. A runner is a package that exports these three functions;
``device_runners.registry`` names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from converters.errors import TidepoolError
from converters.tflite.graph import Array, Graph, Operator


@dataclass(frozen=True)
class Finding:
    """One thing that a check found out about an operator, or about the whole graph.

    Attributes:
        message: What is wrong, in a sentence.
        hint: What to do about it.
        operator: Index of the operator; None for the graph as a whole.
        opcode: The operator's opcode.
        tensor: Name of the operator's first output.
        blocking: Whether the graph can't be built because of it.
    """

    message: str
    hint: str = ""
    operator: int | None = None
    opcode: str = ""
    tensor: str = ""
    blocking: bool = True


def finding_at(
    graph: Graph, operator: Operator, message: str, hint: str = "", *, blocking: bool = True
) -> Finding:
    """A finding about one operator, which it names by index, opcode and first output."""
    output = graph.outputs_of(operator)[0].name if operator.outputs else ""
    return Finding(message, hint, operator.index, operator.opcode, output, blocking)


@dataclass(frozen=True)
class Findings:
    """All that a check found; nothing is the best finding."""

    items: tuple[Finding, ...] = ()

    @property
    def blocking(self) -> tuple[Finding, ...]:
        return tuple(item for item in self.items if item.blocking)

    def raise_if_blocking(self) -> None:
        """Raises one error that names every blocking finding."""
        if not self.blocking:
            return
        lines = [f"{item.message}" for item in self.blocking]
        hints = list(dict.fromkeys(item.hint for item in self.blocking if item.hint))
        raise TidepoolError("\n".join(lines), hint=" ".join(hints))


@dataclass(frozen=True)
class Artifacts:
    """What a build left behind.

    Attributes:
        directory: The folder that holds it.
        files: The files in it, relative to the folder.
        figures: Measured or planned figures (bytes, counts), for the report.
    """

    directory: Path
    files: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Int8Model:
    """A full-integer model, ready for a device: int8, or int16 activations with int8 weights.

    Attributes:
        name: Its name, a C identifier: artifacts are called after it.
        content: The TFLite file's content.
        graph: Its graph.
    """

    name: str
    content: bytes
    graph: Graph


class Runner(Protocol):
    """The three verbs; a runner's package exports them as functions."""

    def check(self, graph: Graph) -> Findings:
        """Says what stands in the way of building this graph, without building it."""

    def build(self, model: Int8Model, out: Path) -> Artifacts:
        """Writes the artifacts to the folder ``out``, whole or not at all."""

    def run(self, artifacts: Artifacts, inputs: Sequence[Array]) -> list[Array]:
        """Runs one inference: arrays in the inputs' shapes and dtypes in, outputs out."""

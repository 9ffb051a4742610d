"""What every device runner is: three verbs over a graph.

``check`` says whether a graph can be built for the device, ``build`` writes the artifacts, and
``run`` executes them. A runner is a package with these three functions; ``RUNNERS`` in
``device_runners.registry`` names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from converters.errors import TidepoolError
from converters.tflite.graph import Array, Graph


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


class Runner(Protocol):
    """The three verbs. A package's ``runner`` module provides them as functions."""

    def check(self, graph: Graph) -> Findings:
        """Says what stands in the way of building this graph, without building it."""

    def build(self, graph: Graph, out: Path) -> Artifacts:
        """Writes the artifacts to ``out``, whole or not at all."""

    def run(self, artifacts: Artifacts, inputs: Sequence[Array]) -> list[Array]:
        """Runs one inference: arrays in the inputs' shapes and dtypes in, outputs out."""

"""What a pass gives back, and the two kinds of pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from converters.tflite.graph import Graph, Operator


@dataclass(frozen=True, eq=False)
class Change:
    """A graph as a pass left it.

    Attributes:
        graph: The new graph. The tensors that it shares with the old one have the same indices.
        operators: What was rewritten: opcode and name of the first output, as they were.
        note: What the user should know of it; empty when the pass' summary says it all.
    """

    graph: Graph
    operators: tuple[str, ...]
    note: str = ""


class OperatorPass(Protocol):
    """A module of a pass that rewrites one operator at a time."""

    def match(self, graph: Graph, operator: Operator) -> bool:
        """Whether the pass applies to an operator."""

    def transform(self, graph: Graph, operator: Operator) -> Graph:
        """The graph after it was applied to an operator that it matches."""


class GraphPass(Protocol):
    """A module of a pass that looks at the graph as a whole."""

    def match(self, graph: Graph) -> bool:
        """Whether there is anything to do."""

    def transform(self, graph: Graph) -> Change:
        """The graph after the pass, if it matches; the same object if nothing came of it."""


@dataclass(frozen=True)
class Description:
    """What a pass' module says of it.

    Attributes:
        name: The name of the module.
        summary: What it does: the first paragraph of the docstring.
        reason: What that cures: the second one.
        exactness: Why no result changes: the last one, which starts with "Exact".
    """

    name: str
    summary: str
    reason: str
    exactness: str


@dataclass(frozen=True)
class Pass:
    """A pass as the driver runs it: ``run`` gives None where nothing matches."""

    description: Description
    run: Callable[[Graph], Change | None]


def operator_pass(module: OperatorPass) -> Pass:
    """Makes a pass of a module with ``match(graph, operator)`` and ``transform``."""

    def run(graph: Graph) -> Change | None:
        changed: list[str] = []
        # Tensors keep their indices through a pass; operators don't. The last operator comes
        # first, so that a pattern of several is met at its end, where all of it can be seen.
        for output in [op.outputs[0] for op in reversed(graph.operators) if op.outputs]:
            operator = graph.producer(output)
            if operator is not None and module.match(graph, operator):
                changed.append(described(graph, operator))
                graph = module.transform(graph, operator)
        return Change(graph, tuple(reversed(changed))) if changed else None

    return Pass(describe(module), run)


def graph_pass(module: GraphPass) -> Pass:
    """Makes a pass of a module with ``match(graph)`` and ``transform``."""

    def run(graph: Graph) -> Change | None:
        change = module.transform(graph) if module.match(graph) else None
        return None if change is None or change.graph is graph else change

    return Pass(describe(module), run)


def described(graph: Graph, operator: Operator) -> str:
    """The opcode and the name of the first output: indices change from pass to pass."""
    output = graph.outputs_of(operator)[0].name if operator.outputs else ""
    return f"{operator.display_name} '{output}'"


def describe(module: object) -> Description:
    """Reads the docstring of a pass' module."""
    paragraphs = [" ".join(text.split()) for text in (module.__doc__ or "").split("\n\n")]
    summary, reason, exactness = paragraphs
    return Description(
        getattr(module, "__name__", "").rpartition(".")[2], summary, reason, exactness
    )

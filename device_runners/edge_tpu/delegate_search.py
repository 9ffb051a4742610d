"""What the compiler prints of its search for a part of the graph that it can compile (``-d``).

It takes operators off the end of the graph, a step at a time, until the rest compiles; what it took
off stays on the CPU. With segments there is one search for each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SEARCH = re.compile(r"^\s*Searching for valid delegate with step (\d+)", re.MULTILINE)
_TRY = re.compile(r"^\s*Try to compile segment with (\d+) ops", re.MULTILINE)
_TENSORS = re.compile(r"^\s*Intermediate tensors: *(\S.*?)\s*$", re.MULTILINE)
_COMPILED = re.compile(r"Models? compiled successfully in")
_FAILED = re.compile(r"^\s*(Compilation failed: .+?|Compilation timeout\..*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class SearchTry:
    """One part of the graph that the compiler tried.

    Attributes:
        operations: How many operators it has.
        intermediate_tensors: Where it ends; empty for the whole graph.
        compiled: Whether it compiled.
        failure: Why it didn't, in the compiler's words; empty when it did, or when the compiler
            gave no reason.
    """

    operations: int
    intermediate_tensors: tuple[str, ...]
    compiled: bool
    failure: str


@dataclass(frozen=True)
class DelegateSearch:
    """One search.

    Attributes:
        step: By how many operators each try is smaller than the one before.
        tries: Them all, in order; only the last one can have compiled.
    """

    step: int
    tries: tuple[SearchTry, ...]

    @property
    def found(self) -> SearchTry | None:
        """The part that compiled; None when none did."""
        return self.tries[-1] if self.tries and self.tries[-1].compiled else None


def parse_searches(output: str) -> tuple[DelegateSearch, ...]:
    """Reads every search in the compiler's output; none without ``-d``."""
    return tuple(
        DelegateSearch(int(step), tuple(_try(int(ops), part) for ops, part in _parts(_TRY, text)))
        for step, text in _parts(_SEARCH, output)
    )


def last_try(output: str) -> str:
    """The output from the last try on; all of it when there was no search."""
    parts = list(_TRY.finditer(output))
    return output[parts[-1].start() :] if parts else output


def _parts(pattern: re.Pattern[str], text: str) -> list[tuple[str, str]]:
    """The number in each match, and the text from there to the next match."""
    matches = list(pattern.finditer(text))
    ends = [match.start() for match in matches[1:]] + [len(text)]
    return [(m.group(1), text[m.end() : end]) for m, end in zip(matches, ends, strict=False)]


def _try(operations: int, text: str) -> SearchTry:
    tensors = _TENSORS.search(text)
    compiled = _COMPILED.search(text) is not None
    failure = _FAILED.search(text)
    return SearchTry(
        operations,
        tuple(tensors.group(1).split(",")) if tensors else (),
        compiled,
        "" if compiled or failure is None else failure.group(1),
    )

"""Places buffers with known lifetimes in one arena.

The problem is two-dimensional packing with fixed time spans (dynamic storage allocation). Every
packing that can't be pushed down further comes from placing the buffers one by one, each at the
lowest free offset, in some order: so orders are what is searched, exhaustively for a few buffers
and by deterministic local search for more. The search ends as soon as it meets the lower bound,
the largest sum of sizes that are alive at one time.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_EXHAUSTIVE_LIMIT = 7
"""Up to this many buffers all orders are tried (5,040): the result is optimal."""
_LOCAL_SEARCH_STEPS = 3000


@dataclass(frozen=True)
class Buffer:
    """Memory that is needed for a while.

    Attributes:
        key: The owner's name for it.
        bytes: Its size; the planner rounds it up to the alignment.
        first: The first step at which it is alive.
        last: The last step at which it is alive, inclusive.
    """

    key: int
    bytes: int
    first: int
    last: int

    def overlaps(self, other: Buffer) -> bool:
        """Whether both are alive at one step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Plan:
    """Where the buffers lie.

    Attributes:
        offsets: Buffer key -> offset in bytes, a multiple of the alignment.
        arena_bytes: The arena's size.
        lower_bound_bytes: No plan can be smaller: the most bytes that are alive at one step.
    """

    offsets: dict[int, int]
    arena_bytes: int
    lower_bound_bytes: int


def plan(buffers: Sequence[Buffer], *, alignment: int = 16) -> Plan:
    """Places the buffers; the same buffers in the same order give the same plan."""
    aligned = [
        Buffer(b.key, -(-b.bytes // alignment) * alignment, b.first, b.last) for b in buffers
    ]
    bound = lower_bound(aligned)
    best_offsets: dict[int, int] = {}
    best = -1
    for order in _orders(aligned):
        offsets, size = _place(order)
        if best < 0 or size < best:
            best_offsets, best = offsets, size
        if best == bound:
            break
    else:
        if len(aligned) > _EXHAUSTIVE_LIMIT:
            best_offsets, best = _local_search(aligned, best_offsets, best, bound)
    return Plan(best_offsets, max(best, 0), bound)


def lower_bound(buffers: Iterable[Buffer]) -> int:
    """The most bytes that are alive at one step."""
    changes: dict[int, int] = {}
    for buffer in buffers:
        changes[buffer.first] = changes.get(buffer.first, 0) + buffer.bytes
        changes[buffer.last + 1] = changes.get(buffer.last + 1, 0) - buffer.bytes
    return max(itertools.accumulate(changes[step] for step in sorted(changes)), default=0)


def _orders(buffers: list[Buffer]) -> Iterator[Sequence[Buffer]]:
    """Orders that tend to do well, then all of them if there are few."""
    yield sorted(buffers, key=lambda b: (-b.bytes, b.first, b.key))
    yield sorted(buffers, key=lambda b: (b.first - b.last, -b.bytes, b.key))
    yield sorted(buffers, key=lambda b: (-b.bytes * (b.last - b.first + 1), b.key))
    yield sorted(buffers, key=lambda b: (b.first, -b.bytes, b.key))
    if len(buffers) <= _EXHAUSTIVE_LIMIT:
        yield from itertools.permutations(buffers)


def _place(order: Sequence[Buffer]) -> tuple[dict[int, int], int]:
    """Puts each buffer at the lowest offset that is free of those before it in the order."""
    offsets: dict[int, int] = {}
    size = 0
    for position, buffer in enumerate(order):
        taken = sorted(
            (offsets[other.key], offsets[other.key] + other.bytes)
            for other in order[:position]
            if other.overlaps(buffer)
        )
        offset = 0
        for begin, end in taken:
            if offset + buffer.bytes <= begin:
                break
            offset = max(offset, end)
        offsets[buffer.key] = offset
        size = max(size, offset + buffer.bytes)
    return offsets, size


def _local_search(
    buffers: list[Buffer], offsets: dict[int, int], size: int, bound: int
) -> tuple[dict[int, int], int]:
    """Moves one buffer of the best order at a time; keeps what is not worse."""
    generator = random.Random(0)  # fixed: the same graph must give the same bytes
    order = sorted(buffers, key=lambda b: (offsets[b.key], b.key))
    for _ in range(_LOCAL_SEARCH_STEPS):
        if size == bound:
            break
        candidate = list(order)
        candidate.insert(
            generator.randrange(len(order)), candidate.pop(generator.randrange(len(order)))
        )
        new_offsets, new_size = _place(candidate)
        if new_size <= size:
            order, offsets, size = candidate, new_offsets, new_size
    return offsets, size

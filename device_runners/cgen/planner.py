"""Places buffers with known lifetimes in one arena.

The problem is two-dimensional packing with fixed time spans (dynamic storage allocation), with one
addition: for some pairs it is known how far they may overlap. Every packing that can't be pushed
down further comes from placing the buffers one by one, each at the lowest offset that those before
it leave free, with offsets that never fall: so orders are what is searched. Good orders are tried
first, then local search, then branch and bound, which proves the result where it comes to an end.
The search ends as soon as it meets the lower bound.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from device_runners.cgen.overlap import Overlap

_LOCAL_SEARCH_STEPS = 1500
_BRANCH_WORK = 120_000
"""Budget of branch and bound: branches times buffers. Enough for all orders of seven buffers."""


@dataclass(frozen=True)
class Buffer:
    """Memory that is needed for a while.

    Attributes:
        key: The owner's name for it.
        bytes: Its size; the planner rounds it up to the alignment.
        first: The first step at which it is alive.
        last: The last step at which it is alive, inclusive.
        shrinks: (step, bytes), ascending: from that step on, only that much of its front is needed.
    """

    key: int
    bytes: int
    first: int
    last: int
    shrinks: tuple[tuple[int, int], ...] = ()

    def bytes_at(self, step: int) -> int:
        """What is needed of it at a step at which it is alive."""
        sizes = [size for first, size in self.shrinks if first <= step]
        return sizes[-1] if sizes else self.bytes

    def overlaps(self, other: Buffer) -> bool:
        """Whether both are alive at one step."""
        return self.first <= other.last and other.first <= self.last


Rules = Mapping[tuple[int, int], Overlap]
"""(input's key, output's key) -> where the output may lie; for pairs that share a single step."""


@dataclass(frozen=True)
class Plan:
    """Where the buffers lie.

    Attributes:
        offsets: Buffer key -> offset in bytes, a multiple of the alignment.
        arena_bytes: The arena's size.
        lower_bound_bytes: No plan can be smaller: the most bytes that one step needs by itself.
        is_optimal: Whether it is proven that no plan of these buffers is smaller.
    """

    offsets: dict[int, int]
    arena_bytes: int
    lower_bound_bytes: int
    is_optimal: bool


@dataclass
class _Problem:
    """Sizes and rules in units of the alignment; buffers by position.

    Attributes:
        buffers: The buffers.
        sizes: Their sizes.
        neighbours: For each buffer the others that it shares a step with, and between which
            distances (exclusive) it may not lie from them.
        bound: The lower bound.
    """

    buffers: Sequence[Buffer]
    sizes: list[int]
    neighbours: list[dict[int, tuple[int, int]]] = field(default_factory=list)
    bound: int = 0


@dataclass
class _Best:
    offsets: list[int]
    size: int


def plan(
    buffers: Sequence[Buffer],
    rules: Rules | None = None,
    *,
    alignment: int = 16,
    search: bool = True,
) -> Plan:
    """Places the buffers; the same buffers in the same order give the same plan.

    Args:
        buffers: The buffers.
        rules: Which of them may overlap.
        alignment: Of every offset.
        search: Go on where the good orders don't meet the bound; it takes seconds for hundreds.
    """
    problem = _problem(buffers, rules or {}, alignment)
    best = _Best([], -1)
    for order in _good_orders(problem):
        _improve(best, *_place(problem, order))
        if best.size == problem.bound:
            break
    else:
        if search:
            _local_search(problem, best)
    is_optimal = best.size <= problem.bound or (search and _branch_and_bound(problem, best))
    return Plan(
        {b.key: o * alignment for b, o in zip(buffers, best.offsets, strict=True)},
        max(best.size, 0) * alignment,
        problem.bound * alignment,
        is_optimal,
    )


def lower_bound(
    buffers: Sequence[Buffer], rules: Rules | None = None, *, alignment: int = 16
) -> int:
    """The most bytes that one step needs by itself, whatever happens at the others."""
    return _problem(buffers, rules or {}, alignment).bound * alignment


def _problem(buffers: Sequence[Buffer], rules: Rules, alignment: int) -> _Problem:
    sizes = [_units(b.bytes, alignment) for b in buffers]
    problem = _Problem(buffers, sizes, [{} for _ in buffers])
    used: dict[tuple[int, int], Overlap] = {}
    for i, one in enumerate(buffers):
        for j in range(i):
            other = buffers[j]
            if not one.overlaps(other):
                continue
            met = max(one.first, other.first)  # they only shrink: this is where they are largest
            low = -_units(one.bytes_at(met), alignment)
            high = _units(other.bytes_at(met), alignment)
            for key, turned in (((other.key, one.key), False), ((one.key, other.key), True)):
                rule = rules.get(key)
                if rule is not None:
                    rule = rule.aligned(alignment)
                    used[(i, j) if turned else (j, i)] = rule
                    rule = rule.reversed() if turned else rule
                    low, high = (
                        max(low, rule.below // alignment),
                        min(high, rule.above // alignment),
                    )
            problem.neighbours[i][j] = (low, high)
            problem.neighbours[j][i] = (-high, -low)
    problem.bound = _bound(problem, used, alignment)
    return problem


def _units(size: int, alignment: int) -> int:
    return -(-size // alignment)


def _bound(problem: _Problem, rules: Mapping[tuple[int, int], Overlap], alignment: int) -> int:
    steps = sorted({b.first for b in problem.buffers})
    return max((_step_bound(problem, rules, alignment, step) for step in steps), default=0)


def _step_bound(
    problem: _Problem, rules: Mapping[tuple[int, int], Overlap], alignment: int, step: int
) -> int:
    """What a step needs: all that is alive, less what its output may save by overlapping."""
    alive = [i for i, b in enumerate(problem.buffers) if b.first <= step <= b.last]
    sizes = {i: _units(problem.buffers[i].bytes_at(step), alignment) for i in alive}
    pairs = [p for p in rules if problem.buffers[p[1]].first == step and p[0] in alive]
    sources, outputs = {p[0] for p in pairs}, {p[1] for p in pairs}
    rest = sum(sizes[i] for i in alive if i not in sources | outputs)
    before, after = sum(sizes[i] for i in sources), sum(sizes[i] for i in outputs)
    if len(pairs) != 1:
        # The inputs are apart from each other, and so are the outputs.
        return rest + max(before, after)
    rule = rules[pairs[0]]
    below, above = rule.below // alignment, rule.above // alignment
    behind = max(before, below + after) - min(0, below)
    return rest + min(before + after, behind, max(before, above + after))


def _good_orders(problem: _Problem) -> Iterator[list[int]]:
    """Orders that tend to do well. Outputs run ahead of inputs, so later ones often lie lower."""
    buffers, sizes = problem.buffers, problem.sizes
    everything = range(len(buffers))
    yield sorted(everything, key=lambda i: (-sizes[i], buffers[i].first, i))
    yield sorted(everything, key=lambda i: (-buffers[i].first, -sizes[i], i))
    yield sorted(everything, key=lambda i: (-buffers[i].last, -sizes[i], i))
    yield sorted(everything, key=lambda i: (buffers[i].first - buffers[i].last, -sizes[i], i))
    yield sorted(everything, key=lambda i: (-sizes[i] * _steps(buffers[i]), i))
    yield sorted(everything, key=lambda i: (buffers[i].first, -sizes[i], i))


def _steps(buffer: Buffer) -> int:
    return buffer.last - buffer.first + 1


def _place(problem: _Problem, order: Sequence[int]) -> tuple[list[int], int]:
    """Puts each buffer at the lowest offset that is free of those before it in the order."""
    offsets = [-1] * len(order)
    size = 0
    for i in order:
        offsets[i] = _lowest(problem, offsets, i)
        size = max(size, offsets[i] + problem.sizes[i])
    return offsets, size


def _lowest(problem: _Problem, offsets: Sequence[int], i: int) -> int:
    """The lowest offset at which a buffer is right beside those that are placed (offset >= 0)."""
    forbidden = sorted(
        (offsets[j] + low, offsets[j] + high)
        for j, (low, high) in problem.neighbours[i].items()
        if offsets[j] >= 0 and high - low > 1
    )
    offset = 0
    for low, high in forbidden:
        if offset > low:
            offset = max(offset, high)
    return offset


def _improve(best: _Best, offsets: list[int], size: int) -> bool:
    """Takes a packing that is not worse."""
    if best.size < 0 or size <= best.size:
        best.offsets, best.size = offsets, size
        return True
    return False


def _local_search(problem: _Problem, best: _Best) -> None:
    """Moves one buffer of the best order at a time; keeps what is not worse."""
    count = len(problem.buffers)
    generator = random.Random(0)  # fixed: the same graph must give the same bytes
    order = sorted(range(count), key=lambda i: (best.offsets[i], -problem.buffers[i].first))
    for _ in range(_LOCAL_SEARCH_STEPS if count > 1 else 0):
        if best.size == problem.bound:
            break
        candidate = list(order)
        candidate.insert(generator.randrange(count), candidate.pop(generator.randrange(count)))
        if _improve(best, *_place(problem, candidate)):
            order = candidate


def _branch_and_bound(problem: _Problem, best: _Best) -> bool:
    """Tries all orders with offsets that never fall, as far as the budget goes.

    Returns:
        Whether it came to an end: the best packing is optimal.
    """
    offsets = [-1] * len(problem.buffers)
    budget = _BRANCH_WORK // max(len(offsets), 1)

    def descend(level: int, left: int, size: int) -> bool:
        nonlocal budget
        if left == 0:
            best.offsets, best.size = list(offsets), size
            return True
        # A packing that is better than the best one ends below it: so does every buffer.
        places = [(_lowest(problem, offsets, i), i) for i in range(len(offsets)) if offsets[i] < 0]
        if any(max(o, level) + problem.sizes[i] >= best.size for o, i in places):
            return True
        for offset, i in sorted(places):
            if offset < level:
                continue
            if best.size <= problem.bound:
                return True
            budget -= 1
            if budget < 0:
                return False
            offsets[i] = offset
            finished = descend(offset, left - 1, max(size, offset + problem.sizes[i]))
            offsets[i] = -1
            if not finished:
                return False
        return True

    return descend(0, len(offsets), 0)

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_runners.cgen.overlap import Overlap
from device_runners.cgen.planner import Buffer, lower_bound, plan

_SPANS = st.tuples(st.integers(1, 200), st.integers(-1, 12), st.integers(0, 6))
_BUFFERS = st.lists(_SPANS, max_size=14).map(
    lambda spans: [
        Buffer(key, size, first, first + length) for key, (size, first, length) in enumerate(spans)
    ]
)


@given(_BUFFERS)
def test_buffers_alive_together_do_not_overlap(buffers: list[Buffer]) -> None:
    result = plan(buffers)
    assert set(result.offsets) == {buffer.key for buffer in buffers}
    for one, two in itertools.combinations(buffers, 2):
        if one.first <= two.last and two.first <= one.last:
            begin, end = result.offsets[one.key], result.offsets[one.key] + one.bytes
            other = result.offsets[two.key]
            assert end <= other or other + two.bytes <= begin
    for buffer in buffers:
        assert result.offsets[buffer.key] % 16 == 0
        assert result.offsets[buffer.key] + buffer.bytes <= result.arena_bytes


@given(_BUFFERS)
def test_the_arena_lies_between_the_lower_bound_and_the_sum(buffers: list[Buffer]) -> None:
    result = plan(buffers)
    aligned = [-(-buffer.bytes // 16) * 16 for buffer in buffers]
    alive = [
        sum(size for size, b in zip(aligned, buffers, strict=True) if b.first <= step <= b.last)
        for step in range(-1, 20)
    ]
    assert result.lower_bound_bytes == max(alive)
    assert result.lower_bound_bytes <= result.arena_bytes <= sum(aligned)


@given(_BUFFERS)
def test_plans_are_deterministic(buffers: list[Buffer]) -> None:
    assert plan(buffers) == plan(list(buffers))


def test_a_chain_takes_the_largest_pair_of_neighbours() -> None:
    sizes = [32, 640, 320, 480, 16, 944]
    buffers = [Buffer(i, size, i, i + 1) for i, size in enumerate(sizes)]
    result = plan(buffers)
    assert result.arena_bytes == result.lower_bound_bytes == 640 + 320


@pytest.mark.parametrize("count", [12, 40])
def test_near_exact_on_chains_with_long_lived_branches(count: int) -> None:
    buffers = [Buffer(i, 64 * (1 + i * 7 % 5), i, i + 1 + 3 * (i % 4 == 0)) for i in range(count)]
    result = plan(buffers)
    assert result.arena_bytes <= result.lower_bound_bytes * 1.1


def test_nothing_takes_nothing() -> None:
    assert plan([]).arena_bytes == 0
    assert lower_bound([]) == 0


_SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=5)


@st.composite
def _chains(draw: st.DrawFn) -> tuple[list[Buffer], dict[tuple[int, int], Overlap]]:
    """Buffers of which each may overlap the one before it; some live on, and then may not."""
    sizes = draw(_SIZES)
    buffers, rules = [], {}
    for key, size in enumerate(sizes):
        buffers.append(Buffer(key, size, key, key + draw(st.sampled_from((1, 1, 2)))))
        before = buffers[key - 1] if key else None
        if before is not None and before.last == key:
            below, above = draw(st.integers(-size, 0)), draw(st.integers(0, before.bytes))
            rules[before.key, key] = Overlap(below, above)
    return buffers, rules


def _fits(
    offsets: tuple[int, ...], buffers: list[Buffer], rules: dict[tuple[int, int], Overlap]
) -> bool:
    for one, two in itertools.combinations(buffers, 2):
        delta = offsets[two.key] - offsets[one.key]
        apart = Overlap(-two.bytes, one.bytes)
        allowed = rules.get((one.key, two.key), apart)
        if one.overlaps(two) and not (apart.allows(delta) or allowed.allows(delta)):
            return False
    return True


@settings(deadline=None)
@given(_chains())
def test_plans_with_overlap_are_optimal(
    drawn: tuple[list[Buffer], dict[tuple[int, int], Overlap]],
) -> None:
    """Against all placements there are."""
    buffers, rules = drawn
    result = plan(buffers, rules, alignment=1)
    offsets = tuple(result.offsets[buffer.key] for buffer in buffers)
    assert _fits(offsets, buffers, rules)
    assert result.arena_bytes == max(o + b.bytes for o, b in zip(offsets, buffers, strict=True))
    assert result.is_optimal
    smaller = (range(result.arena_bytes - buffer.bytes) for buffer in buffers)
    assert not any(_fits(places, buffers, rules) for places in itertools.product(*smaller))


@given(_chains())
def test_the_lower_bound_holds_with_overlap(
    drawn: tuple[list[Buffer], dict[tuple[int, int], Overlap]],
) -> None:
    buffers, rules = drawn
    result = plan(buffers, rules, alignment=1)
    assert lower_bound(buffers, rules, alignment=1) == result.lower_bound_bytes
    assert max(b.bytes for b in buffers) <= result.lower_bound_bytes <= result.arena_bytes


def test_outputs_run_ahead_of_their_inputs() -> None:
    """The chain drifts down by 32 bytes a layer: each output lies in front of its input."""
    buffers = [Buffer(i, 640, i, i + 1) for i in range(6)]
    rules = {(i, i + 1): Overlap(-32, 640) for i in range(5)}
    result = plan(buffers, rules)
    assert result.lower_bound_bytes == 640 + 32
    assert result.arena_bytes == 640 + 5 * 32
    assert [result.offsets[i] for i in range(6)] == [160, 128, 96, 64, 32, 0]
    assert result.is_optimal


def test_distances_are_rounded_to_the_alignment() -> None:
    buffers = [Buffer(0, 64, 0, 1), Buffer(1, 64, 1, 2)]
    assert plan(buffers, {(0, 1): Overlap(-1, 64)}).arena_bytes == 64 + 16
    assert plan(buffers, {(0, 1): Overlap(-64, 1)}).arena_bytes == 64 + 16
    assert plan(buffers, {(0, 1): Overlap(0, 64)}).arena_bytes == 64


def test_large_problems_end_in_time_and_say_that_they_are_not_proven() -> None:
    sizes = [64 * (1 + i * 7 % 11) for i in range(60)]
    buffers = [Buffer(i, s, i, i + 1 + 5 * (i % 3 == 0)) for i, s in enumerate(sizes)]
    result = plan(buffers)
    assert result.arena_bytes <= result.lower_bound_bytes * 1.2
    assert result.is_optimal == (result.arena_bytes == result.lower_bound_bytes)

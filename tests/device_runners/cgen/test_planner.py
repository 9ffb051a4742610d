from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

"""The rules of overlap for kernels of int16: against a replay in bytes, and against execution."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.graphs import Op, random_inputs
from support.host_equality import assert_every_tensor_equals_reference
from support.int16_graphs import IMAGE_OPS, OPS, WINDOW_OPS, make_int16_graph, single_int16_graph
from support.kernel_replay import Step, is_destructive, replay

from converters.tflite.graph import Graph, TensorType
from device_runners.cgen import runner
from device_runners.cgen.access import Window
from device_runners.cgen.kernel_orders import access_pattern
from device_runners.cgen.memory import Memory, plan_memory
from device_runners.cgen.operation import Emission, KernelCall, OpContext
from device_runners.cgen.overlap import Overlap, overlaps
from device_runners.cgen.program import Program
from device_runners.cgen.registry import operations
from device_runners.cgen.splitting import bottom_rows_first

_EXACT = (
    "tidepool_add_int16",
    "tidepool_average_pool_2d_int16",
    "tidepool_copy",
    "tidepool_logistic_int16",
    "tidepool_max_pool_2d_int16",
    "tidepool_mean_int16",
    "tidepool_mul_int16",
    "tidepool_pad",
    "tidepool_rescale_int16",
    "tidepool_strided_copy",
    "tidepool_tanh_int16",
)
"""Kernels whose declared order is the very one of the loops; for others it is a safe one."""


def _small_graph(op: Op, seed: int) -> Graph:
    for attempt in itertools.count():
        graph = single_int16_graph(np.random.default_rng([seed, attempt]), op)
        if max(tensor.elements for tensor in graph.tensors) <= 200:
            return graph
    raise AssertionError


def _emissions(graph: Graph) -> Iterator[Emission]:
    for operator in graph.operators:
        yield operations()[operator.opcode].emit(OpContext(graph, operator))


def _byte_steps(emission: Emission, tensor: int, output: int) -> list[Step]:
    """All calls, byte by byte, with the places of one input (as operand 0) and of one output."""
    steps: list[Step] = []
    for call in emission.calls:
        size = call.element_bytes
        for kind, operand, place in replay(call):
            if kind == "r" and call.inputs[operand] == tensor:
                first = place * size + call.input_offset
                steps += [("r", 0, first + i) for i in range(size)]
            elif kind == "w" and call.output == output:
                first = place * size + call.output_offset
                steps += [("w", 0, first + i) for i in range(size)]
    return steps


def _assert_safe(emission: Emission, steps: list[Step], rule: Overlap) -> None:
    step = 1 if rule.above - rule.below < 60 else 7
    for delta in {*range(rule.below - 3, rule.above + 4, step), rule.below, rule.above}:
        assert not (rule.allows(delta) and is_destructive(steps, 0, delta)), delta
    if emission.calls[0].function in _EXACT:
        # One byte further in would be wrong.
        assert rule.below == 0 or is_destructive(steps, 0, rule.below + 1)
        assert rule.above == 0 or is_destructive(steps, 0, rule.above - 1)


@pytest.mark.parametrize("op", IMAGE_OPS + OPS, ids=lambda op: op.__name__)
def test_rules_in_bytes(op: Op) -> None:
    for seed in range(4):
        graph = _small_graph(op, seed)
        for emission in _emissions(graph):
            for (tensor, output), rule in overlaps(graph, emission).items():
                _assert_safe(emission, _byte_steps(emission, tensor, output), rule)


def _split(call: KernelCall, emission: Emission) -> Emission | None:
    pattern = access_pattern(call)
    assert isinstance(pattern, Window)
    geometry = pattern.geometry
    if geometry.output_height < 2 or geometry.batches != 1:
        return None
    return replace(emission, calls=bottom_rows_first(call, geometry, 2))


@pytest.mark.parametrize("op", WINDOW_OPS, ids=lambda op: op.__name__)
def test_rules_of_calls_in_parts(op: Op) -> None:
    tried = 0
    for seed in range(12):
        graph = _small_graph(op, seed)
        (emission,) = _emissions(graph)
        split = _split(emission.calls[0], emission)
        if split is None:
            continue
        for (tensor, output), rule in overlaps(graph, split).items():
            steps = _byte_steps(split, tensor, output)
            for delta in range(rule.below - 3, rule.above + 4):
                assert not (rule.allows(delta) and is_destructive(steps, 0, delta)), delta
            tried += 1
    assert tried > 3


@pytest.fixture
def aligned_to_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors at any even address: every overlap is as tight as it can be."""

    def plan_tightly(
        program: Program, emissions: Mapping[int, Emission]
    ) -> tuple[dict[int, Emission], Memory]:
        chosen, memory = plan_memory(program, emissions, alignment=2)
        return chosen, replace(memory, arena_bytes=-(-memory.arena_bytes // 16) * 16)

    monkeypatch.setattr(runner, "plan_memory", plan_tightly)


def _fits_two(graph: Graph) -> bool:
    return all(tensor.type is not TensorType.FLOAT32 for tensor in graph.tensors)


def _assert_exact(seed: int, graph: Graph, folder: Path) -> None:
    rng = np.random.default_rng(seed)
    samples = [random_inputs(rng, graph) for _ in range(2)]
    assert_every_tensor_equals_reference(graph, samples, folder)


@pytest.mark.usefixtures("aligned_to_two")
@pytest.mark.parametrize("op", IMAGE_OPS, ids=lambda op: op.__name__)
def test_the_tightest_overlap_computes_the_same(op: Op, tmp_path: Path) -> None:
    _assert_exact(1, single_int16_graph(np.random.default_rng(50), op), tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("aligned_to_two")
def test_the_tightest_overlaps_of_random_graphs_compute_the_same(tmp_path: Path) -> None:
    for seed in range(60):
        graph = make_int16_graph(np.random.default_rng([9, seed]))
        if _fits_two(graph):
            _assert_exact(seed, graph, tmp_path / str(seed))

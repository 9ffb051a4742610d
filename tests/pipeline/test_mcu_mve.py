"""Kernels of level ``mve`` on the emulated Cortex-M55: random layers, every tensor is exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.dsp_layers import depthwise_with_factors
from support.emulated_layers import assert_exact, assert_graph_exact, assert_samples_exact
from support.graphs import Op, quantize, relu, single_op_graph
from support.more_graphs import ALL_IMAGE_OPS, batch_matmul


def test_random_layers_are_exact_on_the_cortex_m55(tmp_path: Path) -> None:
    assert_exact(300, "cortex-m55", tmp_path)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_factors_without_a_shift_round_once(size: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(size)
    graph = depthwise_with_factors(rng, size, [0.7, 0.7, 0.7, 0.7, 0.4, 0.6, 0.3, 0.9])
    samples = [
        [rng.integers(-3, 9, tensor.shape).astype(np.int8) for tensor in graph.input_tensors]
        for _ in range(4)
    ]
    assert_samples_exact(graph, samples, "cortex-m55", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("op", [batch_matmul, relu, quantize], ids=lambda op: op.__name__)
def test_other_kernels_of_the_level_are_exact_on_the_cortex_m55(op: Op, tmp_path: Path) -> None:
    for seed in range(3):
        graph = single_op_graph(np.random.default_rng(seed), op, ALL_IMAGE_OPS)
        rng = np.random.default_rng(seed)
        assert_graph_exact(graph, rng, "cortex-m55", tmp_path / str(seed))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(301, 313))
def test_many_random_layers_are_exact_on_the_cortex_m55(seed: int, tmp_path: Path) -> None:
    assert_exact(seed, "cortex-m55", tmp_path)

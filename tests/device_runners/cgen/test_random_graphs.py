"""Random graphs over the whole op set, bit-exact under the address and UB sanitizers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support.graphs import Op, random_inputs, single_op_graph
from support.host_equality import assert_every_tensor_equals_reference
from support.more_graphs import ALL_IMAGE_OPS, ALL_OPS, any_graphs, make_any_graph

from converters.tflite.graph import Graph
from device_runners.cgen import Isa
from device_runners.cgen.registry import operations

_SETTINGS = settings(
    deadline=None,
    print_blob=True,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _assert_equal(seed: int, graph: Graph, **build: Any) -> None:
    rng = np.random.default_rng(seed + 1)
    samples = [random_inputs(rng, graph) for _ in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        assert_every_tensor_equals_reference(graph, samples, Path(folder), **build)


@settings(_SETTINGS, max_examples=20)
@given(any_graphs())
def test_every_tensor_of_random_graphs(drawn: tuple[int, Graph]) -> None:
    _assert_equal(*drawn)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("isa", list(Isa))
@pytest.mark.parametrize("first", range(0, 2000, 250))
def test_every_tensor_of_2000_random_graphs(first: int, isa: Isa, compiler: str) -> None:
    """Each graph once, by its seed: sixths of them for each compiler and level of kernels."""
    number = list(Isa).index(isa) * 2 + (compiler == "clang")
    for seed in range(first + number, first + 250, 6):
        print(f"seed {seed}")
        graph = make_any_graph(np.random.default_rng(seed))
        _assert_equal(seed, graph, isa=isa, compiler=compiler)


@pytest.mark.slow
@pytest.mark.parametrize("op", ALL_IMAGE_OPS + ALL_OPS, ids=lambda op: op.__name__)
def test_every_tensor_of_random_single_ops(op: Op) -> None:
    for seed in range(8):
        _assert_equal(seed, single_op_graph(np.random.default_rng(seed), op, ALL_IMAGE_OPS))


def test_random_graphs_cover_every_op() -> None:
    seen = {
        operator.opcode
        for seed in range(400)
        for operator in make_any_graph(np.random.default_rng(seed)).operators
    }
    # Those with state have tests of their own: graphs here are run without one.
    assert seen == set(operations()) - {"SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"}

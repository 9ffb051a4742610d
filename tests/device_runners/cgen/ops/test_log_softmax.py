from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from device_runners.cgen import check

RNG = np.random.default_rng(61)


def log_softmax(shape: tuple[int, ...], scale: float, output_scale: float = 1 / 16) -> Graph:
    b = GraphBuilder("log_softmax")
    x = b.input(shape, scale, 3)
    y = b.op("LOG_SOFTMAX", [x], None, shape=shape, scale=output_scale, zero_point=127, version=2)
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("scale", [1e-5, 0.003, 0.05, 0.3, 2.0, 40.0])
def test_random_rows_in_place(tmp_path: Path, scale: float) -> None:
    graph = log_softmax((4, 3, 10), scale)
    samples = [[RNG.integers(-128, 128, (4, 3, 10)).astype(np.int8)] for _ in range(4)]
    artifacts = assert_every_tensor_equals_reference(graph, samples, tmp_path)
    assert artifacts.figures["arena_bytes"] == 128


@pytest.mark.parametrize("depth", [1, 2, 256, 4095])
def test_rows_of_any_length(tmp_path: Path, depth: int) -> None:
    graph = log_softmax((2, depth), 0.1)
    samples = [
        [np.zeros((2, depth), np.int8)],
        [np.resize(ALL_INT8, (2, depth))],
        [np.resize(np.array([-128, 127], np.int8), (2, depth))],
    ]
    assert_every_tensor_equals_reference(graph, samples, tmp_path)


def test_every_pair_of_values(tmp_path: Path) -> None:
    pairs = np.stack([np.repeat(ALL_INT8, 256), np.tile(ALL_INT8, 256)], axis=1)
    assert_every_tensor_equals_reference(log_softmax(pairs.shape, 0.07), [[pairs]], tmp_path)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (log_softmax((2, 4), 0.1, 0.1), "1/16 and 127 are needed"),
        (log_softmax((1, 5000), 0.1), "runs over 5000 classes"),
        (log_softmax((2, 4), 1e-9), "which is out of range"),
    ],
)
def test_what_the_reference_lacks_is_refused(graph: Graph, message: str) -> None:
    assert message in check(graph).blocking[0].message

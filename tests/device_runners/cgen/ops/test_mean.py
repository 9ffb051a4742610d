from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from converters.tflite.options import ReducerOptions
from device_runners.cgen import check

RNG = np.random.default_rng(8)


def mean(
    shape: tuple[int, ...],
    axes: list[int],
    *,
    keep: bool = False,
    scales: tuple[float, float] = (0.05, 0.03),
    zero_points: tuple[int, int] = (7, -11),
) -> Graph:
    b = GraphBuilder("mean")
    x = b.input(shape, scales[0], zero_points[0])
    reduced = {axis % len(shape) for axis in axes if -len(shape) <= axis < len(shape)}
    output = [1 if d in reduced else n for d, n in enumerate(shape) if keep or d not in reduced]
    y = b.op(
        "MEAN",
        [x, b.constant(np.array(axes, np.int32))],
        ReducerOptions(keep),
        shape=output,
        scale=scales[1],
        zero_point=zero_points[1],
        version=2,
    )
    b.output(y)
    return b.graph()


def assert_equal(graph: Graph, folder: Path) -> None:
    shape = graph.input_tensors[0].shape
    samples = [
        [RNG.integers(-128, 128, shape).astype(np.int8)],
        [RNG.integers(5, 10, shape).astype(np.int8)],
        [np.full(shape, 127, np.int8)],
    ]
    assert_every_tensor_equals_reference(graph, samples, folder)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((2, 5, 6, 3), [1, 2]),
        ((2, 5, 6, 3), [2, 1]),
        ((2, 5, 6, 3), [3]),
        ((2, 5, 6, 3), [0]),
        ((2, 5, 6, 3), [0, 2]),
        ((2, 5, 6, 3), [1, 3]),
        ((2, 5, 6, 3), [-1, 1, 1, -3]),
        ((4, 9), [1]),
        ((2, 3, 2, 3, 2, 3), [0, 2, 4]),
        ((1, 7, 1), [0, 2]),
    ],
)
def test_axes(tmp_path: Path, shape: tuple[int, ...], axes: list[int], keep: bool) -> None:
    assert_equal(mean(shape, axes, keep=keep), tmp_path)


def test_all_axes(tmp_path: Path) -> None:
    assert_equal(mean((3, 5, 2), [0, 1, 2], keep=True), tmp_path)


@pytest.mark.parametrize("scales", [(0.05, 0.05), (0.01, 3.0), (1.0, 0.004)])
@pytest.mark.parametrize("zero_points", [(-128, 127), (127, -128)])
def test_quantization_at_its_edges(
    tmp_path: Path, scales: tuple[float, float], zero_points: tuple[int, int]
) -> None:
    assert_equal(mean((1, 7, 7, 5), [1, 2], scales=scales, zero_points=zero_points), tmp_path)


def test_an_axis_out_of_range_is_refused() -> None:
    (finding,) = check(mean((2, 3), [5])).blocking
    assert "reduces the axes [5] of 2 dimensions" in finding.message

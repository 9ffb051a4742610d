"""SUM, REDUCE_MAX, REDUCE_MIN, ARG_MAX, ARG_MIN and L2_NORMALIZATION."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, TensorType
from converters.tflite.options import (
    ArgMaxOptions,
    ArgMinOptions,
    L2NormOptions,
    ReducerOptions,
)
from device_runners.cgen import check

RNG = np.random.default_rng(41)
Shape = tuple[int, ...]


def reduction(
    opcode: str,
    shape: Shape,
    axes: list[int],
    *,
    keep: bool = False,
    scales: tuple[float, float] = (0.05, 0.3),
    zero_points: tuple[int, int] = (7, -11),
) -> Graph:
    if opcode != "SUM":
        scales, zero_points = (scales[0],) * 2, (zero_points[0],) * 2
    b = GraphBuilder("reduction")
    x = b.input(shape, scales[0], zero_points[0])
    reduced = {axis % len(shape) for axis in axes if -len(shape) <= axis < len(shape)}
    output = [1 if d in reduced else n for d, n in enumerate(shape) if keep or d not in reduced]
    y = b.op(
        opcode,
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
        [np.full(shape, -128, np.int8)],
    ]
    assert_every_tensor_equals_reference(graph, samples, folder)


@pytest.mark.parametrize("opcode", ["SUM", "REDUCE_MAX", "REDUCE_MIN"])
@pytest.mark.parametrize(
    ("shape", "axes", "keep"),
    [
        ((2, 5, 6, 3), [1, 2], True),
        ((2, 5, 6, 3), [3], False),
        ((2, 5, 6, 3), [0, 2], False),
        ((2, 5, 6, 3), [-1, 1, 1, -3], True),
        ((2, 3, 2, 3, 2, 3), [0, 2, 4], False),
        ((3, 5, 2), [0, 1, 2], True),
    ],
)
def test_axes(tmp_path: Path, opcode: str, shape: Shape, axes: list[int], keep: bool) -> None:
    assert_equal(reduction(opcode, shape, axes, keep=keep), tmp_path)


@pytest.mark.parametrize("scales", [(0.05, 0.05), (0.01, 3.0), (1.0, 0.004)])
@pytest.mark.parametrize("zero_points", [(-128, 127), (127, -128)])
def test_sums_in_any_quantization(
    tmp_path: Path, scales: tuple[float, float], zero_points: tuple[int, int]
) -> None:
    assert_equal(
        reduction("SUM", (1, 7, 7, 5), [1, 2], scales=scales, zero_points=zero_points), tmp_path
    )


def test_an_axis_out_of_range_is_refused() -> None:
    (finding,) = check(reduction("SUM", (2, 3), [5])).blocking
    assert "reduces the axes [5] of 2 dimensions" in finding.message


def test_a_sum_that_could_overflow_is_refused() -> None:
    (finding,) = check(reduction("SUM", (2, 3), [1], scales=(1.0, 1e-8))).blocking
    assert "can overflow a 32-bit accumulator over 3 elements" in finding.message


def index_of(opcode: str, shape: Shape, axis: int, type_: TensorType) -> Graph:
    b = GraphBuilder("index")
    x = b.input(shape, 0.1, 3)
    output = b.tensor(tuple(np.delete(shape, axis).tolist()), type_)
    options = ArgMaxOptions(type_) if opcode == "ARG_MAX" else ArgMinOptions(type_)
    b.operator(opcode, [x, b.constant(np.array(axis, np.int32))], options, [output])
    b.output(output)
    return b.graph()


@pytest.mark.parametrize("opcode", ["ARG_MAX", "ARG_MIN"])
@pytest.mark.parametrize("type_", [TensorType.INT32, TensorType.INT64])
@pytest.mark.parametrize(("shape", "axis"), [((3, 10), 1), ((2, 4, 5), 0), ((2, 4, 5), -2)])
def test_indices(tmp_path: Path, opcode: str, type_: TensorType, shape: Shape, axis: int) -> None:
    # The second and third samples have many equal values.
    assert_equal(index_of(opcode, shape, axis, type_), tmp_path)


def test_an_index_of_another_type_is_refused() -> None:
    graph = index_of("ARG_MAX", (3, 10), 1, TensorType.INT16)
    assert "INT16" in check(graph).blocking[0].message


def normalization(shape: Shape, zero_point: int, output_scale: float = 1 / 128) -> Graph:
    b = GraphBuilder("normalization")
    x = b.input(shape, 0.1, zero_point)
    y = b.op(
        "L2_NORMALIZATION",
        [x],
        L2NormOptions(),
        shape=shape,
        scale=output_scale,
        zero_point=0,
        version=2,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7, 1), (1, 2000)])
def test_normalized_rows(tmp_path: Path, zero_point: int, shape: Shape) -> None:
    assert_equal(normalization(shape, zero_point), tmp_path)


def test_rows_of_every_small_norm(tmp_path: Path) -> None:
    """The sum of squares is 0, 1, 2, ...: also where it is no longer shifted up by much."""
    rows = np.zeros((400, 2), np.int8)
    rows[:, 0] = np.arange(400) % 128
    rows[:, 1] = np.arange(400) // 128
    graph = normalization(rows.shape, 0)
    assert_every_tensor_equals_reference(graph, [[rows]], tmp_path)


def test_another_output_scale_is_refused() -> None:
    (finding,) = check(normalization((2, 3), 0, 0.1)).blocking
    assert "1/128 and 0 are needed" in finding.message

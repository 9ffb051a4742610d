"""Comparisons, SELECT and SELECT_V2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, TensorType
from device_runners.cgen import check

RNG = np.random.default_rng(71)
EVERY_PAIR = [np.repeat(ALL_INT8, 256).reshape(256, 256), np.tile(ALL_INT8, (256, 1))]
COMPARISONS = ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL")
Shape = tuple[int, ...]


def choice(
    comparison: str,
    first: Shape,
    second: Shape,
    *,
    opcode: str = "SELECT_V2",
    scales: tuple[float, float] = (0.04, 0.11),
    zero_points: tuple[int, int] = (4, -128),
) -> Graph:
    """``first < second ? first : constant``."""
    b = GraphBuilder("choice")
    x = b.input(first, scales[0], zero_points[0])
    y = b.input(second, scales[1], zero_points[1])
    shape = np.broadcast_shapes(first, second)
    condition = b.tensor(shape, TensorType.BOOL)
    b.operator(comparison, [x, y], None, [condition])
    data = RNG.integers(-128, 128, first).astype(np.int8)
    other = b.constant(data, scales=[scales[0]], zero_points=[zero_points[0]])
    b.output(
        b.op(
            opcode,
            [condition, x, other],
            None,
            shape=shape,
            scale=scales[0],
            zero_point=zero_points[0],
        )
    )
    return b.graph()


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize(
    ("scales", "zero_points"),
    [((0.04, 0.11), (4, -128)), ((0.3, 0.3), (7, 7))],
)
def test_every_pair_of_inputs(
    tmp_path: Path, comparison: str, scales: tuple[float, float], zero_points: tuple[int, int]
) -> None:
    graph = choice(
        comparison, (256, 256), (256, 256), scales=scales, zero_points=zero_points, opcode="SELECT"
    )
    assert_every_tensor_equals_reference(graph, [EVERY_PAIR], tmp_path)


@pytest.mark.parametrize(
    ("first", "second"),
    [((2, 3, 4, 5), (5,)), ((2, 3, 4, 1), (1, 3, 1, 5)), ((1,), (2, 3)), ((4, 1), (1, 7))],
)
def test_broadcasting(tmp_path: Path, first: Shape, second: Shape) -> None:
    graph = choice("GREATER", first, second)
    sample = [RNG.integers(-128, 128, t.shape).astype(np.int8) for t in graph.input_tensors]
    assert_every_tensor_equals_reference(graph, [sample], tmp_path)


def selection(opcode: str, condition: np.ndarray, shape: Shape, output: Shape) -> Graph:
    b = GraphBuilder("selection")
    x, y = b.input(shape, 0.1, 3), b.input(shape, 0.1, 3)
    c = b.constant(condition)
    b.output(b.op(opcode, [c, x, y], None, shape=output, scale=0.1, zero_point=3))
    return b.graph()


@pytest.mark.parametrize(
    ("opcode", "condition"),
    [
        ("SELECT", np.array([True, False, True])),
        ("SELECT", np.array([[True, False]] * 3)),
        ("SELECT_V2", np.array([True, False])),
        ("SELECT_V2", np.array([[True], [False], [True]])),
    ],
)
def test_constant_conditions_and_whole_rows(
    tmp_path: Path, opcode: str, condition: np.ndarray
) -> None:
    graph = selection(opcode, condition, (3, 2), (3, 2))
    sample = [RNG.integers(-128, 128, (3, 2)).astype(np.int8) for _ in range(2)]
    assert_every_tensor_equals_reference(graph, [sample], tmp_path)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (choice("LESS", (4,), (4,), scales=(0.1, 2.0)), "an operand of the scale 2"),
        (selection("SELECT_V2", np.array([True] * 3), (2,), (2,)), "can't choose between"),
        (selection("SELECT", np.array([[True]] * 2), (1,), (2, 1)), "can't choose between"),
        (selection("SELECT_V2", np.zeros(2, np.int32), (2,), (2,)), "a condition of type INT32"),
    ],
)
def test_what_is_out_of_range_is_refused(graph: Graph, message: str) -> None:
    assert message in check(graph).blocking[0].message


def test_truth_values_are_no_output_of_a_model() -> None:
    b = GraphBuilder("truth")
    x = b.input((4,), 0.1, 0)
    truth = b.tensor((4,), TensorType.BOOL)
    b.operator("LESS", [x, x], None, [truth])
    b.output(truth)
    assert "is of type BOOL" in check(b.graph()).blocking[0].message

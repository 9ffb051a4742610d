from __future__ import annotations

from pathlib import Path

import pytest
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from device_runners.cgen import check


def relu(scales: tuple[float, float], zero_points: tuple[int, int]) -> Graph:
    b = GraphBuilder("relu")
    x = b.input((256,), scales[0], zero_points[0])
    y = b.op(
        "RELU",
        [x],
        None,
        shape=(256,),
        scale=scales[1],
        zero_point=zero_points[1],
        version=2,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("zero_points", [(0, -128), (-128, 127), (127, 0), (-128, -128)])
@pytest.mark.parametrize(
    "scales", [(0.1, 0.1), (0.05, 0.11), (1.0, 0.003), (1e-4, 10.0), (0.5, 0.25)]
)
def test_every_input(
    tmp_path: Path, scales: tuple[float, float], zero_points: tuple[int, int]
) -> None:
    assert_every_tensor_equals_reference(relu(scales, zero_points), [[ALL_INT8]], tmp_path)


def test_works_in_place(tmp_path: Path) -> None:
    graph = relu((0.1, 0.1), (3, 3))
    artifacts = assert_every_tensor_equals_reference(graph, [[ALL_INT8]], tmp_path)
    assert artifacts.figures["arena_bytes"] == 256


def test_a_factor_that_could_overflow_is_refused() -> None:
    (finding,) = check(relu((1.0, 1e-8), (0, 0))).blocking
    assert "scales by more than 2^22" in finding.message

"""QUANTIZE, RELU and RELU6: a change of scale and zero point, and a clamp."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from device_runners.cgen import check

VERSIONS = {"QUANTIZE": 1, "RELU": 2, "RELU6": 2}


@pytest.fixture(params=sorted(VERSIONS))
def opcode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rescale(opcode: str, scales: tuple[float, float], zero_points: tuple[int, int]) -> Graph:
    b = GraphBuilder("rescale")
    x = b.input((256,), scales[0], zero_points[0])
    y = b.op(
        opcode,
        [x],
        None,
        shape=(256,),
        scale=scales[1],
        zero_point=zero_points[1],
        version=VERSIONS[opcode],
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("zero_points", [(0, -128), (-128, 127), (127, 0), (-128, -128)])
@pytest.mark.parametrize(
    "scales", [(0.1, 0.1), (0.05, 0.11), (1.0, 0.003), (1e-4, 10.0), (0.5, 0.25)]
)
def test_every_input(
    tmp_path: Path, opcode: str, scales: tuple[float, float], zero_points: tuple[int, int]
) -> None:
    assert_every_tensor_equals_reference(
        rescale(opcode, scales, zero_points), [[ALL_INT8]], tmp_path
    )


def test_works_in_place(tmp_path: Path, opcode: str) -> None:
    graph = rescale(opcode, (0.1, 0.1), (3, 3))
    artifacts = assert_every_tensor_equals_reference(graph, [[ALL_INT8]], tmp_path)
    assert artifacts.figures["arena_bytes"] == 256


def test_a_factor_that_could_overflow_is_refused(opcode: str) -> None:
    (finding,) = check(rescale(opcode, (1.0, 1e-8), (0, 0))).blocking
    assert "scales by more than 2^22" in finding.message

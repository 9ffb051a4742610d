"""SUB, SQUARED_DIFFERENCE, MAXIMUM, MINIMUM and PRELU: two operands that broadcast."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import ACTIVATIONS
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph
from converters.tflite.options import Options, SubOptions
from device_runners.cgen import check

RNG = np.random.default_rng(21)
EVERY_PAIR = [np.repeat(ALL_INT8, 256).reshape(256, 256), np.tile(ALL_INT8, (256, 1))]
OPCODES = ("MAXIMUM", "MINIMUM", "PRELU", "SQUARED_DIFFERENCE", "SUB")
RESCALING = ("PRELU", "SQUARED_DIFFERENCE", "SUB")
Three = tuple[float, float, float]


def binary(
    opcode: str,
    first: tuple[int, ...],
    second: tuple[int, ...],
    *,
    constant: bool = False,
    scales: Three = (0.04, 0.11, 0.3),
    zero_points: tuple[int, int, int] = (4, -128, -20),
    options: Options | None = None,
) -> Graph:
    if opcode in ("MAXIMUM", "MINIMUM"):
        scales, zero_points = (scales[0],) * 3, (zero_points[0],) * 3
    b = GraphBuilder("binary")
    x = b.input(first, scales[0], zero_points[0])
    if constant:
        data = RNG.integers(-128, 128, second).astype(np.int8)
        y = b.constant(data, scales=[scales[1]], zero_points=[zero_points[1]])
    else:
        y = b.input(second, scales[1], zero_points[1])
    z = b.op(
        opcode,
        [x, y],
        options or (SubOptions() if opcode == "SUB" else None),
        shape=np.broadcast_shapes(first, second),
        scale=scales[2],
        zero_point=zero_points[2],
    )
    b.output(z)
    return b.graph()


@pytest.mark.parametrize("opcode", OPCODES)
@pytest.mark.parametrize(
    ("scales", "zero_points"),
    [
        ((0.04, 0.11, 0.3), (4, -128, -20)),
        ((0.5, 0.5, 1.0), (0, 0, 0)),
        ((1.0, 3.0, 0.5), (127, -128, 127)),
        ((1e-3, 1e-3, 10.0), (-128, 127, 0)),
    ],
)
def test_every_pair_of_inputs(
    tmp_path: Path, opcode: str, scales: Three, zero_points: tuple[int, int, int]
) -> None:
    graph = binary(opcode, (256, 256), (256, 256), scales=scales, zero_points=zero_points)
    assert_every_tensor_equals_reference(graph, [EVERY_PAIR], tmp_path)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_activations_of_sub(tmp_path: Path, activation: Activation) -> None:
    graph = binary("SUB", (256, 256), (256, 256), options=SubOptions(activation))
    assert_every_tensor_equals_reference(graph, [EVERY_PAIR], tmp_path)


@pytest.mark.parametrize("opcode", OPCODES)
@pytest.mark.parametrize(
    ("first", "second", "constant"),
    [
        ((1, 3, 4, 5), (1, 1, 1, 5), True),
        ((2, 3, 4, 5), (2, 3, 4, 1), False),
        ((2, 3, 4, 5), (5,), True),
        ((2, 3, 4, 5), (1, 3, 1, 5), False),
    ],
)
def test_broadcasting(
    tmp_path: Path, opcode: str, first: tuple[int, ...], second: tuple[int, ...], constant: bool
) -> None:
    graph = binary(opcode, first, second, constant=constant)
    sample = [RNG.integers(-128, 128, t.shape).astype(np.int8) for t in graph.input_tensors]
    assert_every_tensor_equals_reference(graph, [sample], tmp_path)


@pytest.mark.parametrize("opcode", [opcode for opcode in OPCODES if opcode != "PRELU"])
def test_the_first_operand_broadcasts_too(tmp_path: Path, opcode: str) -> None:
    graph = binary(opcode, (5,), (2, 3, 4, 5))
    sample = [RNG.integers(-128, 128, t.shape).astype(np.int8) for t in graph.input_tensors]
    assert_every_tensor_equals_reference(graph, [sample], tmp_path)


@pytest.mark.parametrize("opcode", OPCODES)
def test_works_in_place(tmp_path: Path, opcode: str) -> None:
    graph = binary(opcode, (256,), (1,), constant=True)
    artifacts = assert_every_tensor_equals_reference(graph, [[ALL_INT8]], tmp_path)
    assert artifacts.figures["arena_bytes"] == 256


@pytest.mark.parametrize("opcode", RESCALING)
def test_an_output_scale_that_is_too_fine_is_refused(opcode: str) -> None:
    (finding,) = check(binary(opcode, (4,), (4,), scales=(1.0, 1.0, 1e-7))).blocking
    assert "finer than" in finding.message or "too fine" in finding.message


@pytest.mark.parametrize("opcode", OPCODES)
def test_more_dimensions_than_the_reference_has_are_refused(opcode: str) -> None:
    graph = binary(opcode, (2, 2, 2, 2, 2, 2), (1,))
    assert "broadcasts 6 dimensions" in check(graph).blocking[0].message


@pytest.mark.parametrize("opcode", ["MAXIMUM", "MINIMUM"])
def test_operands_in_another_quantization_are_refused(opcode: str) -> None:
    b = GraphBuilder("quantization")
    x, y = b.input((4,), 0.1, 0), b.input((4,), 0.1, 1)
    b.output(b.op(opcode, [x, y], None, shape=(4,), scale=0.1, zero_point=0))
    assert "in one quantization" in check(b.graph()).blocking[0].message


def test_slopes_that_enlarge_the_input_are_refused() -> None:
    graph = binary("PRELU", (1, 4), (3, 4))
    assert "has the output shape [3, 4], but computes [1, 4]" in check(graph).blocking[0].message

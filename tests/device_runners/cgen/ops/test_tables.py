"""Ops of one operand that become a table of 256 results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite import write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from converters.tflite.options import GeluOptions, LeakyReluOptions, Options
from device_runners.cgen import check
from device_runners.cgen.operation import OpContext
from device_runners.cgen.registry import operations
from device_runners.host.oracle import Oracle

OPS: dict[str, tuple[str, Options | None]] = {
    "TANH": ("TANH", None),
    "ELU": ("ELU", None),
    "EXP": ("EXP", None),
    "LOG": ("LOG", None),
    "ABS": ("ABS", None),
    "HARD_SWISH": ("HARD_SWISH", None),
    "RELU_N1_TO_1": ("RELU_N1_TO_1", None),
    "GELU by erf": ("GELU", GeluOptions(False)),
    "GELU by tanh": ("GELU", GeluOptions(True)),
    "LEAKY_RELU 0.1": ("LEAKY_RELU", LeakyReluOptions(0.1)),
    "LEAKY_RELU 0": ("LEAKY_RELU", LeakyReluOptions(0.0)),
    "LEAKY_RELU 1.7": ("LEAKY_RELU", LeakyReluOptions(1.7)),
}


def unary(
    name: str, scales: tuple[float, float], zero_points: tuple[int, int], version: int = 1
) -> Graph:
    opcode, options = OPS.get(name, (name, None))
    b = GraphBuilder("unary")
    x = b.input((256,), scales[0], zero_points[0])
    y = b.op(
        opcode,
        [x],
        options,
        shape=(256,),
        scale=scales[1],
        zero_point=zero_points[1],
        version=version,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize(
    ("scales", "zero_points"), [((0.05, 0.03), (11, -7)), ((0.02, 0.02), (-128, 127))]
)
def test_every_input_in_place(
    tmp_path: Path, name: str, scales: tuple[float, float], zero_points: tuple[int, int]
) -> None:
    graph = unary(name, scales, zero_points)
    artifacts = assert_every_tensor_equals_reference(graph, [[ALL_INT8]], tmp_path)
    assert artifacts.figures["arena_bytes"] == 256


def assert_table_equals_reference(graph: Graph) -> None:
    """Compares the table alone: no compiler."""
    context = OpContext(graph, graph.operators[0])
    (expected,) = Oracle(write_graph(graph)).run([ALL_INT8])
    table = operations()[context.operator.opcode].emit(context).constants[0].values
    scales = [tensor.quantization for tensor in graph.tensors]
    np.testing.assert_array_equal(table, expected, err_msg=str(scales))


@pytest.mark.parametrize("name", [name for name in OPS if name != "RELU_N1_TO_1"])
def test_tables_of_many_scales_equal_the_reference(name: str) -> None:
    rng = np.random.default_rng(3)
    compared = 0
    for _ in range(60):
        scales = 10.0 ** rng.uniform(-3, 1, 2)
        scales[1] = scales[0] if rng.random() < 0.3 else scales[1]
        edges = [-128, 127, 0, int(rng.integers(-128, 128))]
        zero_points = tuple(int(point) for point in rng.choice(edges, 2))
        graph = unary(name, (scales[0], scales[1]), zero_points)
        if check(graph).blocking:
            continue
        compared += 1
        assert_table_equals_reference(graph)
    assert compared > 30


def test_inverse_square_roots(tmp_path: Path) -> None:
    for scale in (1e-3, 0.05, 3.0):
        for output_scale in (scale, 1.0, 1e-2 / scale**0.5):
            for zero_point in (-128, 0, 127):
                graph = unary("RSQRT", (scale, output_scale), (-128, zero_point), version=2)
                assert_table_equals_reference(graph)
    assert_every_tensor_equals_reference(graph, [[ALL_INT8]], tmp_path)


def test_inverse_square_roots_of_negative_inputs_are_refused() -> None:
    (finding,) = check(unary("RSQRT", (0.1, 0.1), (-127, 0))).blocking
    assert "may be negative" in finding.message


def test_results_that_overflow_the_reference_are_refused() -> None:
    (finding,) = check(unary("EXP", (1.0, 0.01), (0, 0))).blocking
    assert "too fine for results" in finding.message


def test_negative_slopes_are_refused() -> None:
    b = GraphBuilder("slope")
    x = b.input((4,), 0.1, 0)
    options = LeakyReluOptions(-0.5)
    b.output(b.op("LEAKY_RELU", [x], options, shape=(4,), scale=0.1, zero_point=0, version=2))
    assert "has the slope -0.5" in check(b.graph()).blocking[0].message


@pytest.mark.parametrize("name", ["ABS", "LEAKY_RELU 0.1"])
def test_a_factor_that_could_overflow_is_refused(name: str) -> None:
    (finding,) = check(unary(name, (1.0, 1e-8), (0, 0))).blocking
    assert "scales by more than 2^22" in finding.message


def test_scales_beyond_the_reference_are_refused() -> None:
    (finding,) = check(unary("HARD_SWISH", (1.0, 1e-4), (0, 0))).blocking
    assert "out of the reference's range" in finding.message


@pytest.mark.parametrize("opcode", ["GELU", "LEAKY_RELU"])
def test_missing_options_are_refused(opcode: str) -> None:
    finding = check(unary(opcode, (0.1, 0.1), (0, 0))).blocking[0]
    assert "Options" in finding.message

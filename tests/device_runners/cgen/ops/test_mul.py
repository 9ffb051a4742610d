from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import ACTIVATIONS
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph
from converters.tflite.options import MulOptions
from device_runners.cgen import check

RNG = np.random.default_rng(5)
EVERY_PAIR = [np.repeat(ALL_INT8, 256).reshape(256, 256), np.tile(ALL_INT8, (256, 1))]


def product(
    first: tuple[int, ...],
    second: tuple[int, ...],
    *,
    constant: bool = False,
    scales: tuple[float, float, float] = (0.04, 0.11, 0.3),
    zero_points: tuple[int, int, int] = (4, -128, -20),
    activation: Activation = Activation.NONE,
    version: int = 2,
) -> Graph:
    b = GraphBuilder("mul")
    x = b.input(first, scales[0], zero_points[0])
    if constant:
        data = RNG.integers(-128, 128, second).astype(np.int8)
        y = b.constant(data, scales=[scales[1]], zero_points=[zero_points[1]])
    else:
        y = b.input(second, scales[1], zero_points[1])
    z = b.op(
        "MUL",
        [x, y],
        MulOptions(activation),
        shape=np.broadcast_shapes(first, second),
        scale=scales[2],
        zero_point=zero_points[2],
        version=version,
    )
    b.output(z)
    return b.graph()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("scales", "zero_points", "version"),
    [
        ((0.04, 0.11, 0.3), (4, -128, -20), 2),
        ((0.5, 0.5, 1.0), (0, 0, 0), 2),
        ((1.0, 3.0, 0.5), (127, -128, 127), 3),
        ((1e-3, 1e-3, 10.0), (-128, 127, 0), 2),
    ],
)
def test_every_pair_of_inputs(
    tmp_path: Path,
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int],
    version: int,
    activation: Activation,
) -> None:
    graph = product(
        (256, 256),
        (256, 256),
        scales=scales,
        zero_points=zero_points,
        activation=activation,
        version=version,
    )
    assert_every_tensor_equals_reference(graph, [EVERY_PAIR], tmp_path)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1, 3, 4, 5), (1, 1, 1, 5)),
        ((1, 3, 4, 5), (1, 3, 4, 1)),
        ((2, 3, 4, 5), (5,)),
        ((2, 1, 4, 1), (2, 3, 1, 5)),
        ((1,), (2, 3, 4, 5)),
    ],
)
def test_broadcasting(
    tmp_path: Path, first: tuple[int, ...], second: tuple[int, ...], constant: bool
) -> None:
    graph = product(first, second, constant=constant)
    sample = [RNG.integers(-128, 128, t.shape).astype(np.int8) for t in graph.input_tensors]
    assert_every_tensor_equals_reference(graph, [sample], tmp_path)


def test_output_scale_too_fine_is_refused() -> None:
    (finding,) = check(product((4,), (4,), scales=(1.0, 1.0, 1e-5))).blocking
    assert "too fine for its operands'" in finding.message

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import ACTIVATIONS
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph
from converters.tflite.options import AddOptions
from device_runners.cgen import check

RNG = np.random.default_rng(4)


def addition(
    first: tuple[int, ...],
    second: tuple[int, ...],
    *,
    constant: bool = False,
    scales: tuple[float, float, float] = (0.04, 0.11, 0.09),
    zero_points: tuple[int, int, int] = (4, -128, -20),
    activation: Activation = Activation.NONE,
) -> Graph:
    b = GraphBuilder("add")
    x = b.input(first, scales[0], zero_points[0])
    if constant:
        data = RNG.integers(-128, 128, second).astype(np.int8)
        y = b.constant(data, scales=[scales[1]], zero_points=[zero_points[1]])
    else:
        y = b.input(second, scales[1], zero_points[1])
    z = b.op(
        "ADD",
        [x, y],
        AddOptions(activation),
        shape=np.broadcast_shapes(first, second),
        scale=scales[2],
        zero_point=zero_points[2],
        version=2,
    )
    b.output(z)
    return b.graph()


EVERY_PAIR = [np.repeat(ALL_INT8, 256).reshape(256, 256), np.tile(ALL_INT8, (256, 1))]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("scales", "zero_points"),
    [
        ((0.04, 0.11, 0.09), (4, -128, -20)),
        ((0.5, 0.5, 0.5), (0, 0, 0)),
        ((1e-4, 3.0, 1.5), (127, -128, 127)),
        ((0.7, 0.02, 0.003), (-128, 127, -128)),
    ],
)
def test_every_pair_of_inputs(
    tmp_path: Path,
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int],
    activation: Activation,
) -> None:
    graph = addition(
        (256, 256), (256, 256), scales=scales, zero_points=zero_points, activation=activation
    )
    assert_every_tensor_equals_reference(graph, [EVERY_PAIR], tmp_path)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1, 3, 4, 5), (1, 1, 1, 5)),
        ((1, 3, 4, 5), (1, 3, 4, 1)),
        ((2, 3, 4, 5), (5,)),
        ((2, 3, 4, 5), (1,)),
        ((2, 1, 4, 1), (2, 3, 1, 5)),
        ((5,), (2, 3, 4, 5)),
        ((2, 1, 2, 1, 2, 1), (1, 3, 1, 3, 1, 3)),
    ],
)
def test_broadcasting(
    tmp_path: Path, first: tuple[int, ...], second: tuple[int, ...], constant: bool
) -> None:
    graph = addition(first, second, constant=constant)
    sample = [RNG.integers(-128, 128, t.shape).astype(np.int8) for t in graph.input_tensors]
    assert_every_tensor_equals_reference(graph, [sample], tmp_path)


def test_a_tensor_added_to_itself_in_place(tmp_path: Path) -> None:
    b = GraphBuilder("twice")
    x = b.input((256,), 0.1, 0)
    y = b.op("RELU", [x], None, shape=(256,), scale=0.1, zero_point=-128, version=2)
    z = b.op("ADD", [y, y], AddOptions(), shape=(256,), scale=0.2, zero_point=-128, version=2)
    b.output(z)
    artifacts = assert_every_tensor_equals_reference(b.graph(), [[ALL_INT8]], tmp_path)
    assert artifacts.figures["arena_bytes"] == 256


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    b = GraphBuilder("bad")
    x, y = b.input((2, 3), 0.1, 0), b.input((2, 2), 0.1, 0)
    b.output(b.op("ADD", [x, y], AddOptions(), shape=(2, 3), scale=0.1, zero_point=0, version=2))
    assert "can't broadcast [2, 3] and [2, 2]" in check(b.graph()).blocking[0].message


def test_output_scale_beyond_the_reference_is_refused() -> None:
    graph = addition((4,), (4,), scales=(1.0, 1.0, 1e-7))
    assert "2^19 times finer" in check(graph).blocking[0].message

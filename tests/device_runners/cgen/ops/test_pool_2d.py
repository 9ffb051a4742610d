"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import ACTIVATIONS
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import Pool2DOptions
from device_runners.cgen import check

RNG = np.random.default_rng(6)


@pytest.fixture(params=["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def opcode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def pool(
    opcode: str,
    window: tuple[int, int],
    output: tuple[int, int],
    *,
    padding: Padding = Padding.VALID,
    stride: tuple[int, int] = (1, 1),
    activation: Activation = Activation.NONE,
    scale: float = 0.05,
    output_scale: float = 0.05,
    zero_point: int = -3,
) -> Graph:
    b = GraphBuilder("pool")
    x = b.input((2, 6, 7, 3), scale, zero_point)
    options = Pool2DOptions(padding, stride[1], stride[0], window[1], window[0], activation)
    y = b.op(
        opcode,
        [x],
        options,
        shape=(2, *output, 3),
        scale=output_scale,
        zero_point=zero_point,
        version=2,
    )
    b.output(y)
    return b.graph()


def assert_equal(graph: Graph, folder: Path) -> None:
    shape = graph.input_tensors[0].shape
    # Small values make the ties of the division frequent.
    samples = [
        [RNG.integers(-128, 128, shape).astype(np.int8)],
        [RNG.integers(-2, 3, shape).astype(np.int8)],
        [np.full(shape, -128, np.int8)],
    ]
    assert_every_tensor_equals_reference(graph, samples, folder)


@pytest.mark.parametrize(
    ("window", "output", "padding", "stride"),
    [
        ((2, 2), (5, 6), Padding.VALID, (1, 1)),
        ((6, 7), (1, 1), Padding.VALID, (6, 7)),
        ((3, 3), (6, 7), Padding.SAME, (1, 1)),
        ((4, 5), (2, 3), Padding.SAME, (3, 3)),
        ((9, 9), (6, 7), Padding.SAME, (1, 1)),
        ((1, 1), (6, 7), Padding.VALID, (1, 1)),
    ],
)
def test_windows(
    tmp_path: Path,
    opcode: str,
    window: tuple[int, int],
    output: tuple[int, int],
    padding: Padding,
    stride: tuple[int, int],
) -> None:
    assert_equal(pool(opcode, window, output, padding=padding, stride=stride), tmp_path)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("zero_point", [-128, 0, 127])
def test_fused_activations(
    tmp_path: Path, opcode: str, activation: Activation, zero_point: int
) -> None:
    assert_equal(
        pool(opcode, (2, 2), (5, 6), activation=activation, zero_point=zero_point), tmp_path
    )


def test_another_output_scale_is_refused(opcode: str) -> None:
    (finding,) = check(pool(opcode, (2, 2), (5, 6), output_scale=0.06)).blocking
    assert "needs input and output in one quantization" in finding.message


def test_a_window_that_does_not_fit_is_refused(opcode: str) -> None:
    assert "output shape" in check(pool(opcode, (7, 7), (1, 1))).blocking[0].message

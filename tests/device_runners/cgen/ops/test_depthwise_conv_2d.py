from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import ACTIVATIONS
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import DepthwiseConv2DOptions
from device_runners.cgen import check

RNG = np.random.default_rng(2)


def depthwise(
    multiplier: int = 1,
    *,
    window: tuple[int, int] = (3, 3),
    output: tuple[int, int] = (5, 6),
    padding: Padding = Padding.SAME,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    activation: Activation = Activation.NONE,
    zero_points: tuple[int, int] = (3, -7),
    per_channel: bool = True,
    bias: bool = True,
    weights_zero_point: int = 0,
) -> Graph:
    b = GraphBuilder("depthwise")
    image = (2, 5, 6, 4)
    channels = 4 * multiplier
    x = b.input(image, 0.05, zero_points[0])
    count = channels if per_channel else 1
    scales = np.linspace(0.002, 0.03, count).tolist()
    taps = RNG.integers(-127, 128, (1, *window, channels)).astype(np.int8)
    w = b.constant(taps, scales=scales, axis=3, zero_points=[weights_zero_point] * count)
    inputs = [x, w]
    if bias:
        values = RNG.integers(-9000, 9000, channels).astype(np.int32)
        inputs.append(b.constant(values, scales=[0.05 * scale for scale in scales]))
    options = DepthwiseConv2DOptions(
        padding, stride[1], stride[0], multiplier, activation, dilation[1], dilation[0]
    )
    y = b.op(
        "DEPTHWISE_CONV_2D",
        inputs,
        options,
        shape=(2, *output, channels),
        scale=0.3,
        zero_point=zero_points[1],
        version=3,
    )
    b.output(y)
    return b.graph()


def assert_equal(graph: Graph, folder: Path) -> None:
    shape = graph.input_tensors[0].shape
    samples = [
        [RNG.integers(-128, 128, shape).astype(np.int8)],
        [np.full(shape, -128, np.int8)],
        [np.full(shape, 127, np.int8)],
    ]
    assert_every_tensor_equals_reference(graph, samples, folder)


@pytest.mark.parametrize("multiplier", [1, 2, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_depth_multiplier(tmp_path: Path, multiplier: int, bias: bool) -> None:
    assert_equal(depthwise(multiplier, bias=bias), tmp_path)


@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "window", "output"),
    [
        (Padding.VALID, (1, 1), (1, 1), (3, 3), (3, 4)),
        (Padding.SAME, (2, 2), (1, 1), (4, 2), (3, 3)),
        (Padding.SAME, (1, 1), (3, 2), (3, 3), (5, 6)),
        (Padding.VALID, (2, 1), (2, 2), (2, 3), (2, 2)),
        (Padding.VALID, (1, 1), (1, 1), (5, 6), (1, 1)),
        (Padding.SAME, (1, 1), (1, 1), (11, 1), (5, 6)),
    ],
)
def test_windows(
    tmp_path: Path,
    padding: Padding,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    window: tuple[int, int],
    output: tuple[int, int],
) -> None:
    graph = depthwise(
        window=window, output=output, padding=padding, stride=stride, dilation=dilation
    )
    assert_equal(graph, tmp_path)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_activations(tmp_path: Path, activation: Activation) -> None:
    assert_equal(depthwise(activation=activation), tmp_path)


@pytest.mark.parametrize("zero_points", [(-128, 127), (127, -128)])
def test_zero_points_and_per_tensor_weights(tmp_path: Path, zero_points: tuple[int, int]) -> None:
    assert_equal(depthwise(zero_points=zero_points, per_channel=False), tmp_path)


def test_asymmetric_weights_are_refused() -> None:
    (finding,) = check(depthwise(weights_zero_point=3)).blocking
    assert "zero points other than 0" in finding.message

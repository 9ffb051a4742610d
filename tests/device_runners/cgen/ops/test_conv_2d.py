from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.graphs import ACTIVATIONS
from support.host_equality import assert_every_tensor_equals_reference
from support.models import int8_model

from converters.errors import TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import Conv2DOptions
from device_runners.cgen import build, check, run

RNG = np.random.default_rng(1)


def convolution(
    image: tuple[int, ...] = (1, 5, 6, 4),
    filters: tuple[int, ...] = (3, 3, 3, 4),
    *,
    output: tuple[int, int] = (5, 6),
    padding: Padding = Padding.SAME,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    activation: Activation = Activation.NONE,
    zero_points: tuple[int, int] = (3, -7),
    per_channel: bool = True,
    output_scale: float = 0.9,
    weights: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    version: int = 3,
) -> Graph:
    b = GraphBuilder("conv")
    x = b.input(image, 0.05, zero_points[0])
    count = filters[0] if per_channel else 1
    scales = np.linspace(0.002, 0.03, count).tolist()
    taps = RNG.integers(-127, 128, filters) if weights is None else weights
    w = b.constant(taps.astype(np.int8), scales=scales, axis=0)
    values = RNG.integers(-9000, 9000, filters[0]) if bias is None else bias
    c = b.constant(values.astype(np.int32), scales=[0.05 * scale for scale in scales])
    options = Conv2DOptions(padding, stride[1], stride[0], activation, dilation[1], dilation[0])
    shape = (image[0], *output, filters[0])
    y = b.op(
        "CONV_2D",
        [x, w, c],
        options,
        shape=shape,
        scale=output_scale,
        zero_point=zero_points[1],
        version=version,
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


@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "filters", "output"),
    [
        (Padding.SAME, (1, 1), (1, 1), (3, 3, 3, 4), (5, 6)),
        (Padding.VALID, (1, 1), (1, 1), (3, 3, 3, 4), (3, 4)),
        (Padding.SAME, (2, 3), (1, 1), (3, 2, 4, 4), (3, 2)),
        (Padding.VALID, (2, 3), (1, 1), (3, 2, 2, 4), (2, 2)),
        (Padding.SAME, (1, 1), (2, 3), (3, 3, 3, 4), (5, 6)),
        (Padding.VALID, (1, 1), (2, 1), (3, 3, 3, 4), (1, 4)),
        (Padding.SAME, (1, 1), (1, 1), (3, 9, 9, 4), (5, 6)),
        (Padding.SAME, (7, 7), (1, 1), (3, 1, 1, 4), (1, 1)),
    ],
    ids=[
        "same",
        "valid",
        "same_strided_even_filter",
        "valid_strided",
        "dilated_same",
        "dilated_valid",
        "filter_larger_than_image",
        "stride_larger_than_image",
    ],
)
def test_windows(
    tmp_path: Path,
    padding: Padding,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    filters: tuple[int, ...],
    output: tuple[int, int],
) -> None:
    graph = convolution(
        filters=filters, output=output, padding=padding, stride=stride, dilation=dilation
    )
    assert_equal(graph, tmp_path)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_activations(tmp_path: Path, activation: Activation) -> None:
    assert_equal(convolution(activation=activation, output_scale=0.06), tmp_path)


@pytest.mark.parametrize("zero_points", [(-128, 127), (127, -128), (0, 0), (-128, -128)])
def test_zero_points_at_their_edges(tmp_path: Path, zero_points: tuple[int, int]) -> None:
    assert_equal(convolution(zero_points=zero_points), tmp_path)


@pytest.mark.parametrize("depth", [1, 2])
def test_groups(tmp_path: Path, depth: int) -> None:
    groups = 4 // depth
    assert_equal(convolution(filters=(groups * 3, 3, 3, depth), version=6), tmp_path)


def test_per_tensor_weights_and_batches(tmp_path: Path) -> None:
    assert_equal(convolution(image=(3, 5, 6, 4), per_channel=False), tmp_path)


def test_factor_above_one_shifts_left(tmp_path: Path) -> None:
    weights = np.zeros((3, 1, 1, 4))
    weights[:, 0, 0, 0] = (1, -1, 2)
    graph = convolution(
        filters=(3, 1, 1, 4), weights=weights, bias=np.zeros(3), output_scale=0.0001
    )
    assert_equal(graph, tmp_path)


def test_absent_bias_counts_as_zero(tmp_path: Path) -> None:
    # The reference insists on a bias; the generated code takes both forms.
    with_zeros = convolution(bias=np.zeros(3))
    operator = with_zeros.operators[0]
    for inputs in (operator.inputs[:2], (*operator.inputs[:2], -1)):
        bare = dataclasses.replace(operator, inputs=inputs)
        graph = dataclasses.replace(with_zeros, operators=(bare,))
        folder = tmp_path / str(len(inputs))
        artifacts = build(int8_model(graph), folder / "bare")
        expected = build(int8_model(with_zeros), folder / "zeros")
        image = RNG.integers(-128, 128, (1, 5, 6, 4)).astype(np.int8)
        np.testing.assert_array_equal(run(artifacts, [image])[0], run(expected, [image])[0])


def test_overflowing_accumulator_is_refused() -> None:
    graph = convolution(bias=np.array([2**31 - 1, 0, 0]))
    (finding,) = check(graph).blocking
    assert "can overflow a 32-bit accumulator in output channel 0" in finding.message


def test_wrong_output_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        TidepoolError, match=r"output shape \[1, 4, 6, 3\].*computes \[1, 5, 6, 3\]"
    ):
        build(int8_model(convolution(output=(4, 6))), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_filters_that_make_no_groups_are_refused() -> None:
    graph = convolution(filters=(3, 3, 3, 2), version=6)  # 2 groups can't share 3 filters
    assert "don't make groups" in check(graph).blocking[0].message

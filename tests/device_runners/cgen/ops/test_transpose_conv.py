"""TRANSPOSE_CONV as a convolution for each remainder of the output's places by the strides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.emulated_layers import assert_graph_exact
from support.host_equality import SANITIZED, assert_every_tensor_equals_reference
from support.models import int8_model

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import TransposeConvOptions
from device_runners.cgen import Isa, build

Size = tuple[int, int]


def transposed(
    image: tuple[int, int, int, int],
    filter_size: Size,
    strides: Size,
    padding: Padding,
    outputs: int,
    activation: Activation = Activation.NONE,
) -> Graph:
    rng = np.random.default_rng(7)
    batch, *sizes, channels = image
    same = padding is Padding.SAME
    enlarged = [
        n * s if same else (n - 1) * s + k
        for n, s, k in zip(sizes, strides, filter_size, strict=True)
    ]
    shape = (batch, *enlarged, outputs)
    b = GraphBuilder("transposed")
    x = b.input(image, 0.05, -11)
    taps = rng.integers(-127, 128, (outputs, *filter_size, channels)).astype(np.int8)
    scales = rng.uniform(0.001, 0.004, outputs).tolist()
    w = b.constant(taps, scales=scales, axis=0)
    bias = b.constant(
        rng.integers(-2000, 2000, outputs).astype(np.int32),
        scales=[0.05 * scale for scale in scales],
        axis=0,
    )
    size = b.constant(np.array(shape, np.int32))
    options = TransposeConvOptions(padding, strides[1], strides[0], activation)
    y = b.op(
        "TRANSPOSE_CONV",
        [size, w, x, bias],
        options,
        shape=shape,
        scale=0.03,
        zero_point=5,
        version=4,
    )
    b.output(y)
    return b.graph()


LAYERS = [
    pytest.param((1, 4, 5, 16), (3, 3), (2, 2), Padding.SAME, 8, id="upsampling"),
    pytest.param((1, 4, 4, 8), (4, 4), (2, 2), Padding.SAME, 12, id="even-filter"),
    pytest.param((2, 3, 4, 5), (3, 2), (1, 3), Padding.VALID, 7, id="batches"),
    pytest.param((1, 5, 3, 6), (2, 1), (3, 2), Padding.SAME, 3, id="filter-below-strides"),
    pytest.param((1, 1, 6, 20), (1, 5), (1, 2), Padding.VALID, 1, id="one-row"),
    pytest.param((1, 3, 3, 16), (1, 1), (1, 1), Padding.VALID, 4, id="pointwise"),
    pytest.param((1, 2, 2, 4), (7, 7), (2, 2), Padding.SAME, 4, id="filter-beyond-the-image"),
]


@pytest.mark.parametrize("isa", list(Isa))
@pytest.mark.parametrize(("image", "filter_size", "strides", "padding", "outputs"), LAYERS)
def test_every_level_is_exact_on_the_host(
    image: tuple[int, int, int, int],
    filter_size: Size,
    strides: Size,
    padding: Padding,
    outputs: int,
    isa: Isa,
    tmp_path: Path,
) -> None:
    graph = transposed(image, filter_size, strides, padding, outputs)
    rng = np.random.default_rng(0)
    samples = [[rng.integers(-128, 128, image).astype(np.int8)] for _ in range(2)]
    assert_every_tensor_equals_reference(graph, samples, tmp_path, flags=SANITIZED, isa=isa)


@pytest.mark.parametrize("activation", [Activation.RELU, Activation.RELU6])
def test_a_fused_activation_is_applied(activation: Activation, tmp_path: Path) -> None:
    layer = ((1, 3, 4, 8), (3, 3), (2, 2), Padding.SAME, 8)
    graph = transposed(*layer, activation=activation)
    sample = [np.random.default_rng(1).integers(-128, 128, layer[0]).astype(np.int8)]
    assert_every_tensor_equals_reference(graph, [sample], tmp_path, isa=Isa.DSP)


def test_the_convolution_that_does_the_work_comes_along(tmp_path: Path) -> None:
    graph = transposed((1, 4, 5, 16), (3, 3), (2, 2), Padding.SAME, 8)
    artifacts = build(int8_model(graph), tmp_path, Isa.DSP)
    assert artifacts.figures["kernels"] == ["transpose_conv_dsp"]
    assert {"tidepool_conv_2d_dsp.c", "tidepool_transpose_conv_dsp.c"} <= set(artifacts.files)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize(("image", "filter_size", "strides", "padding", "outputs"), LAYERS[:4])
def test_exact_on_the_core(
    image: tuple[int, int, int, int],
    filter_size: Size,
    strides: Size,
    padding: Padding,
    outputs: int,
    core: str,
    tmp_path: Path,
) -> None:
    graph = transposed(image, filter_size, strides, padding, outputs)
    assert_graph_exact(graph, np.random.default_rng(2), core, tmp_path)

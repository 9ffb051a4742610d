from __future__ import annotations

import numpy as np
import pytest
from support.rewriting import (
    all_map,
    assert_every_common_tensor_is_equal,
    opcodes,
    rewritten_by,
    the_pass,
)

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import TransposeConvOptions

CLAMPS = (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)


def upsampler(
    rng: np.random.Generator,
    activation: Activation,
    *,
    scale: float,
    zero_point: int,
    bias: bool = True,
    per_channel: bool = True,
) -> Graph:
    """A TRANSPOSE_CONV of random weights, as TF 2.19 writes it: version 4."""
    b = GraphBuilder("upsampler")
    filters, depth, stride = 3, 4, int(rng.integers(1, 4))
    size = int(rng.integers(1, 4))
    padding = Padding.SAME if rng.random() < 0.5 else Padding.VALID
    side = 4 * stride if padding is Padding.SAME else 3 * stride + max(size, stride)
    x = b.input((1, 4, 4, depth), 0.05, int(rng.integers(-128, 128)))
    shape = b.constant(np.array([1, side, side, filters], np.int32))
    taps = rng.integers(-127, 128, (filters, size, size, depth)).astype(np.int8)
    scales = (10 ** rng.uniform(-3, -2, filters if per_channel else 1)).astype(np.float32)
    inputs = [shape, b.constant(taps, scales=[float(s) for s in scales]), x]
    if bias:
        values = rng.integers(-3000, 3000, filters).astype(np.int32)
        products = [float(np.float32(0.05) * s) for s in scales]
        inputs.append(b.constant(values, scales=products))
    options = TransposeConvOptions(padding, stride, stride, activation)
    y = b.op(
        "TRANSPOSE_CONV",
        inputs,
        options,
        shape=(1, side, side, filters),
        scale=scale,
        zero_point=zero_point,
        version=4,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("activation", CLAMPS)
@pytest.mark.parametrize("seed", range(8))
def test_every_output_is_what_it_was(activation: Activation, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = upsampler(
        rng,
        activation,
        # From scales that no bound fits into to scales at which both bounds bite.
        scale=float(10 ** rng.uniform(-2.5, -0.5)),
        zero_point=int(rng.choice([-128, 127, int(rng.integers(-128, 128))])),
        bias=bool(rng.random() < 0.6),
        per_channel=bool(rng.random() < 0.6),
    )
    after = rewritten_by("transpose_conv", graph)
    assert_every_common_tensor_is_equal(graph, after, rng)
    assert all_map(after)
    assert not all_map(graph)


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point"),
    [
        (Activation.RELU, 0.05, -128),
        (Activation.RELU, 5.0, -128),
        (Activation.RELU6, 0.02, -128),
        (Activation.RELU6, 6 / 255, -128),
        (Activation.RELU_N1_TO_1, 0.005, 0),
    ],
)
def test_a_clamp_that_is_the_range_of_the_type_is_left_out(
    activation: Activation, scale: float, zero_point: int
) -> None:
    rng = np.random.default_rng(1)
    graph = upsampler(rng, activation, scale=scale, zero_point=zero_point)
    after = rewritten_by("transpose_conv", graph)
    assert opcodes(after) == ["TRANSPOSE_CONV v3"]
    assert_every_common_tensor_is_equal(graph, after, rng)


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "clamp"),
    [
        (Activation.RELU, 0.05, -127, "RELU v2"),
        (Activation.RELU6, 6 / 254, -128, "RELU6 v2"),
        (Activation.RELU6, 0.02, 0, "RELU6 v2"),
        (Activation.RELU_N1_TO_1, 0.05, 0, "RELU_N1_TO_1 v1"),
    ],
)
def test_a_clamp_that_bites_becomes_an_operator(
    activation: Activation, scale: float, zero_point: int, clamp: str
) -> None:
    rng = np.random.default_rng(2)
    graph = upsampler(rng, activation, scale=scale, zero_point=zero_point)
    after = rewritten_by("transpose_conv", graph)
    assert opcodes(after) == ["TRANSPOSE_CONV v3", clamp]
    between = after.outputs_of(after.operators[0])[0]
    assert between.quantization == graph.output_tensors[0].quantization
    assert_every_common_tensor_is_equal(graph, after, rng)


def test_without_bias_version_2_is_enough() -> None:
    rng = np.random.default_rng(3)
    graph = upsampler(rng, Activation.RELU, scale=0.05, zero_point=-128, bias=False)
    assert opcodes(rewritten_by("transpose_conv", graph)) == ["TRANSPOSE_CONV v2"]


def test_without_activation_there_is_nothing_to_take_out() -> None:
    graph = upsampler(np.random.default_rng(4), Activation.NONE, scale=0.05, zero_point=0)
    assert the_pass("transpose_conv").run(graph) is None

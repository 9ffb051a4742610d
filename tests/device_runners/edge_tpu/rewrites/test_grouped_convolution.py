from __future__ import annotations

import math

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
from converters.tflite.options import Conv2DOptions


def grouped(rng: np.random.Generator, groups: int, part: int, filters: int) -> Graph:
    """A convolution of so many groups, with ``part`` channels and ``filters`` filters in each."""
    b = GraphBuilder("grouped")
    depth, outputs = groups * part, groups * filters
    zero_point = int(rng.integers(-128, 128))
    x = b.input((1, 6, 5, depth), 0.05, zero_point)
    size, stride = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    taps = rng.integers(-127, 128, (outputs, size, size, part)).astype(np.int8)
    count = outputs if rng.random() < 0.7 else 1
    scales = [float(np.float32(s)) for s in 10 ** rng.uniform(-3, -1, count)]
    bias = rng.integers(-5000, 5000, outputs).astype(np.int32)
    products = [float(np.float32(0.05 * s)) for s in scales]
    inputs = [x, b.constant(taps, scales=scales), b.constant(bias, scales=products)]
    activation = (Activation.NONE, Activation.RELU, Activation.RELU6)[int(rng.integers(3))]
    options = Conv2DOptions(Padding.SAME, stride, stride, activation)
    y = b.op(
        "CONV_2D",
        inputs,
        options,
        shape=(1, math.ceil(6 / stride), math.ceil(5 / stride), outputs),
        scale=float(np.median(scales)) * 3,
        zero_point=int(rng.integers(-128, 128)),
        version=6,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("seed", range(20))
def test_every_output_is_what_it_was(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, part, filters = (int(n) for n in rng.integers((2, 1, 1), (6, 4, 5)))
    graph = grouped(rng, groups, part, filters)
    after = rewritten_by("grouped_convolution", graph)
    assert_every_common_tensor_is_equal(graph, after, rng)
    assert all_map(after)
    assert not all_map(graph)


def test_one_convolution_a_group() -> None:
    graph = grouped(np.random.default_rng(0), groups=3, part=2, filters=4)
    after = rewritten_by("grouped_convolution", graph)
    assert opcodes(after) == ["SPLIT v2", *["CONV_2D v3"] * 3, "CONCATENATION v2"]
    assert [t.shape for t in after.outputs_of(after.operators[0])] == [(1, 6, 5, 2)] * 3


def test_groups_of_one_channel_are_a_depthwise_convolution() -> None:
    graph = grouped(np.random.default_rng(0), groups=4, part=1, filters=2)
    after = rewritten_by("grouped_convolution", graph)
    assert opcodes(after) == ["DEPTHWISE_CONV_2D v3"]
    weights = after.tensor(after.operators[0].inputs[1])
    assert weights.shape[-1] == 8
    assert weights.quantization is not None
    assert not weights.quantization.per_channel or weights.quantization.axis == 3


def test_a_convolution_of_one_group_stays() -> None:
    graph = grouped(np.random.default_rng(0), groups=1, part=4, filters=4)
    assert the_pass("grouped_convolution").run(graph) is None

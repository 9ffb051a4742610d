"""BATCH_MATMUL, TRANSPOSE_CONV, DEQUANTIZE, and 4-bit weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite import write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding, TensorType
from converters.tflite.options import (
    BatchMatMulOptions,
    FullyConnectedOptions,
    TransposeConvOptions,
)
from device_runners.cgen import check

RNG = np.random.default_rng(51)
Shape = tuple[int, ...]


def assert_equal(graph: Graph, folder: Path) -> None:
    samples = [
        [RNG.integers(-128, 128, t.shape).astype(np.int8) for t in graph.input_tensors],
        [np.full(t.shape, -128, np.int8) for t in graph.input_tensors],
    ]
    assert_every_tensor_equals_reference(graph, samples, folder)


def matmul(
    first: Shape,
    second: Shape,
    output: Shape,
    *,
    adj_x: bool = False,
    adj_y: bool = False,
    scale: float = 1.3,
    constant: bool = False,
) -> Graph:
    b = GraphBuilder("matmul")
    x = b.input(first, 0.05, -17)
    if constant:
        data = RNG.integers(-128, 128, second).astype(np.int8)
        y = b.constant(data, scales=[0.11], zero_points=[33])
    else:
        y = b.input(second, 0.11, 33)
    options = BatchMatMulOptions(adj_x=adj_x, adj_y=adj_y)
    b.output(b.op("BATCH_MATMUL", [x, y], options, shape=output, scale=scale, zero_point=4))
    return b.graph()


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "output", "adj_x", "adj_y"),
    [
        ((3, 4), (4, 5), (3, 5), False, False),
        ((2, 3, 4), (2, 5, 4), (2, 3, 5), False, True),
        ((2, 4, 3), (2, 4, 5), (2, 3, 5), True, False),
        ((1, 4, 3), (2, 5, 4), (2, 3, 5), True, True),
        ((2, 1, 3, 4), (6, 4, 5), (2, 6, 3, 5), False, False),
        ((1, 2, 3, 3, 4), (2, 2, 1, 4, 2), (2, 2, 3, 3, 2), False, False),
    ],
)
def test_matrices(
    tmp_path: Path,
    first: Shape,
    second: Shape,
    output: Shape,
    adj_x: bool,
    adj_y: bool,
    constant: bool,
) -> None:
    graph = matmul(first, second, output, adj_x=adj_x, adj_y=adj_y, constant=constant)
    assert_equal(graph, tmp_path)


def test_matrices_that_do_not_fit_are_refused() -> None:
    (finding,) = check(matmul((3, 4), (5, 4), (3, 4))).blocking
    assert "can't multiply [3, 4] and [5, 4]" in finding.message


def test_what_the_reference_gets_wrong_is_refused() -> None:
    (finding,) = check(matmul((2, 4, 3), (1, 4, 5), (2, 3, 5), adj_x=True)).blocking
    assert "repeats the second operand" in finding.message


def test_a_product_that_could_overflow_is_refused() -> None:
    (finding,) = check(matmul((3, 4), (4, 5), (3, 5), scale=1e-7)).blocking
    assert "can overflow a 32-bit accumulator over 4 products" in finding.message


def upsampling(
    padding: Padding,
    output: Shape,
    *,
    stride: tuple[int, int] = (2, 2),
    window: tuple[int, int] = (3, 3),
    activation: Activation = Activation.NONE,
    bias: bool = True,
    per_channel: bool = True,
    shape: Shape = (2, 4, 5, 3),
) -> Graph:
    channels = output[3]
    b = GraphBuilder("upsampling")
    x = b.input(shape, 0.05, -17)
    scales = RNG.uniform(0.001, 0.02, channels if per_channel else 1).tolist()
    taps = RNG.integers(-127, 128, (channels, *window, shape[3])).astype(np.int8)
    operands = [b.constant(np.array(output, np.int32)), b.constant(taps, scales=scales), x]
    if bias:
        values = RNG.integers(-20000, 20000, channels).astype(np.int32)
        operands.append(b.constant(values, scales=[0.05 * scale for scale in scales]))
    options = TransposeConvOptions(padding, stride[1], stride[0], activation)
    b.output(
        b.op("TRANSPOSE_CONV", operands, options, shape=output, scale=0.3, zero_point=9, version=4)
    )
    return b.graph()


@pytest.mark.parametrize(
    ("padding", "output", "stride", "window"),
    [
        (Padding.SAME, (2, 8, 10, 4), (2, 2), (3, 3)),
        (Padding.VALID, (2, 9, 11, 4), (2, 2), (3, 3)),
        (Padding.SAME, (2, 4, 15, 1), (1, 3), (2, 5)),
        (Padding.VALID, (2, 14, 5, 2), (4, 1), (2, 1)),
        (Padding.SAME, (2, 7, 9, 4), (2, 2), (4, 4)),
    ],
)
def test_transposed_convolutions(
    tmp_path: Path,
    padding: Padding,
    output: Shape,
    stride: tuple[int, int],
    window: tuple[int, int],
) -> None:
    assert_equal(upsampling(padding, output, stride=stride, window=window), tmp_path)


@pytest.mark.parametrize("activation", [Activation.RELU, Activation.RELU6])
@pytest.mark.parametrize("bias", [False, True])
def test_transposed_convolutions_with_an_activation(
    tmp_path: Path, activation: Activation, bias: bool
) -> None:
    graph = upsampling(
        Padding.SAME, (2, 8, 10, 4), activation=activation, bias=bias, per_channel=False
    )
    assert_equal(graph, tmp_path)


def test_a_transposed_convolution_of_another_batch_is_refused() -> None:
    (finding,) = check(upsampling(Padding.SAME, (1, 8, 10, 4))).blocking
    assert "makes [1, 8, 10, 4] of [2, 4, 5, 3]" in finding.message


@pytest.mark.parametrize(("scale", "zero_point"), [(0.1, 0), (1 / 3, -128), (1e-7, 127)])
def test_float_outputs(tmp_path: Path, scale: float, zero_point: int) -> None:
    b = GraphBuilder("float")
    x = b.input((256,), scale, zero_point)
    y = b.tensor((256,), TensorType.FLOAT32)
    b.operator("DEQUANTIZE", [x], None, [y], version=2)
    b.output(y)
    assert_every_tensor_equals_reference(b.graph(), [[ALL_INT8]], tmp_path)


def test_float_tensors_inside_the_model_are_refused() -> None:
    b = GraphBuilder("inside")
    x = b.input((4,), 0.1, 0)
    y, z = (b.tensor((4,), TensorType.FLOAT32) for _ in range(2))
    b.operator("DEQUANTIZE", [x], None, [y], version=2)
    b.operator("ABS", [y], None, [z])
    b.output(z)
    assert "the model is not int8" in check(b.graph()).blocking[0].message


def test_weights_of_four_bits(tmp_path: Path) -> None:
    """They become weights of a byte; the file's stay packed for the reference."""
    b = GraphBuilder("int4")
    x = b.input((2, 5), 0.05, -17)
    values = RNG.integers(-7, 8, (3, 5)).astype(np.int8)
    w = b.constant(values, scales=[0.1])
    y = b.op("FULLY_CONNECTED", [x, w], FullyConnectedOptions(), shape=(2, 3), scale=0.3,
             zero_point=9, version=4)  # fmt: skip
    b.output(y)
    graph = b.graph()
    nibbles = np.append(values.ravel() & 15, 0).astype(np.uint8)
    packed = dataclasses.replace(
        graph.tensors[w], type=TensorType.INT4, data=nibbles[0::2] | nibbles[1::2] << 4
    )
    tensors = [packed if tensor.index == w else tensor for tensor in graph.tensors]
    packed_graph = dataclasses.replace(graph, tensors=tuple(tensors))
    assert len(write_graph(packed_graph)) < len(write_graph(graph)) + 8
    assert_equal(packed_graph, tmp_path)

"""4-bit weights unpack to the integers that were packed."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from converters.tflite import Graph, Padding, TensorType, read_graph, write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.int4 import has_int4_weights, with_int8_weights
from converters.tflite.options import Conv2DOptions, FullyConnectedOptions
from device_runners.host.oracle import Oracle


def pack(values: np.ndarray) -> np.ndarray:
    """By the definition: the first value in the low nibble, two's complement."""
    nibbles = [int(value) & 0xF for value in values.ravel()]
    nibbles += [0] * (len(nibbles) % 2)
    pairs = zip(nibbles[::2], nibbles[1::2], strict=True)
    return np.array([low | high << 4 for low, high in pairs], np.uint8)


def dense(weights: np.ndarray) -> Graph:
    builder = GraphBuilder()
    x = builder.input((1, weights.shape[1]), 0.5, 0)
    w = builder.constant(weights, scales=[0.1])
    shape = (1, weights.shape[0])
    options = FullyConnectedOptions()
    y = builder.op("FULLY_CONNECTED", [x, w], options, shape=shape, scale=1.0, zero_point=0)
    builder.output(y)
    graph = builder.graph()
    packed = dataclasses.replace(graph.tensors[w], type=TensorType.INT4, data=pack(weights))
    tensors = tuple(packed if tensor.index == w else tensor for tensor in graph.tensors)
    operators = (dataclasses.replace(graph.operators[0], version=10),)
    return dataclasses.replace(graph, tensors=tensors, operators=operators)


@given(st.lists(st.integers(-8, 7), min_size=1, max_size=30), st.integers(1, 3))
def test_unpacked_integers_are_the_packed_ones(values: list[int], rows: int) -> None:
    weights = np.array(values * rows, np.int8).reshape(rows, -1)
    graph = read_graph(write_graph(dense(weights)))
    assert has_int4_weights(graph)
    unpacked = with_int8_weights(graph)
    assert not has_int4_weights(unpacked)
    assert unpacked.tensors[1].data is not None
    np.testing.assert_array_equal(unpacked.tensors[1].data, weights)
    assert unpacked.operators[0].version == 4
    assert unpacked.tensors[1].packed_type is TensorType.INT4
    assert unpacked.tensors[1].packed_bytes == graph.tensors[1].bytes


def convolution(weights: np.ndarray) -> Graph:
    """A 1x1 CONV_2D with packed weights (out, 1, 1, in)."""
    outputs, _, _, inputs = weights.shape
    builder = GraphBuilder()
    x = builder.input((1, 4, 4, inputs), 0.05, 3)
    scales = [0.1 * (n + 1) for n in range(outputs)]
    w = builder.tensor(weights.shape, TensorType.INT4, scales=scales, data=pack(weights))
    bias_scales = [0.05 * scale for scale in scales]
    b = builder.constant(np.arange(outputs, dtype=np.int32), scales=bias_scales)
    options = Conv2DOptions(padding=Padding.VALID)
    shape = (1, 4, 4, outputs)
    y = builder.op("CONV_2D", [x, w, b], options, shape=shape, scale=0.2, zero_point=-5, version=7)
    builder.output(y)
    return builder.graph()


def test_unpacked_weights_give_what_litert_computes_with_packed_ones() -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    rng = np.random.default_rng(4)
    content = write_graph(convolution(rng.integers(-7, 8, (6, 1, 1, 4)).astype(np.int8)))
    packed = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    packed.allocate_tensors()
    unpacked = Oracle(write_graph(with_int8_weights(read_graph(content))))
    for _ in range(5):
        image = rng.integers(-128, 128, (1, 4, 4, 4)).astype(np.int8)
        packed.set_tensor(packed.get_input_details()[0]["index"], image)
        packed.invoke()
        expected = packed.get_tensor(packed.get_output_details()[0]["index"])
        np.testing.assert_array_equal(unpacked.run([image])[0], expected)


def test_graph_without_packed_weights_stays() -> None:
    graph = dense(np.ones((2, 2), np.int8))
    plain = with_int8_weights(graph)
    assert write_graph(with_int8_weights(plain)) == write_graph(plain)

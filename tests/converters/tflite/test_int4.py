"""4-bit weights unpack to the integers that were packed."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from converters.tflite import Graph, TensorType, read_graph, write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.int4 import has_int4_weights, with_int8_weights
from converters.tflite.options import FullyConnectedOptions


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

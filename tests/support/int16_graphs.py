"""Random small graphs of 16-bit activations and 8-bit weights, over the ops that have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from support.graphs import (
    Op,
    RandomGraph,
    Value,
    average_pool_2d,
    concatenation,
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
    make_random_graph,
    max_pool_2d,
    mean,
    pad,
    relu,
    relu6,
    reshape,
    single_op_graph,
)
from support.more_graphs import leaky_relu, maximum, minimum, reduce_max, reduce_min, transpose_conv
from support.moving_ops import (
    expand_dims,
    gather,
    mirror_pad,
    pack,
    resize_bilinear,
    resize_nearest_neighbor,
    reverse_v2,
    slice_,
    split,
    split_v,
    squeeze,
    strided_slice,
    transpose,
    unpack,
)

from converters.tflite.graph import Graph, TensorType
from converters.tflite.options import AddOptions, MulOptions, SoftmaxOptions, SubOptions

_OUTPUT_SCALE = 1 / 32768
# A change of scale to 2^-14 by more than 2^14 is refused.
_LARGEST_RESCALED = 0.5
_VERSIONS = {
    "ADD": 3,
    "AVERAGE_POOL_2D": 3,
    "CONCATENATION": 3,
    "FULLY_CONNECTED": 7,
    "LEAKY_RELU": 2,
    "LOGISTIC": 3,
    "MAX_POOL_2D": 3,
    "MUL": 4,
    "SOFTMAX": 3,
    "SUB": 5,
    "TANH": 3,
}


@dataclass
class WideGraph(RandomGraph):
    """A graph of int16 tensors: zero points of 0, finer scales, 64-bit biases."""

    type: TensorType = TensorType.INT16

    def scale(self) -> float:
        return float(np.float32(10.0 ** self.rng.uniform(-5, -2)))

    def zero_point(self) -> int:
        return 0

    def constant_bias(self, values: np.ndarray, scales: Sequence[float]) -> int:
        return self.builder.constant(256 * values.astype(np.int64), scales=scales)

    def add(
        self,
        opcode: str,
        inputs: Sequence[int],
        options: Any,
        shape: Sequence[int],
        scale: float,
        zero_point: int,
        version: int = 2,
    ) -> None:
        version = _VERSIONS.get(opcode, version)
        super().add(opcode, inputs, options, shape, scale, zero_point, version)


def _operands(g: RandomGraph, x: Value) -> tuple[Value, Value]:
    """``x`` and something that broadcasts with it, in any order."""
    y = g.pick([v for v in g.values if v.shape == x.shape])
    if g.chance(0.5):
        y = g.constant([size if g.chance(0.6) else 1 for size in x.shape], g.scale(), 0)
    return (x, y) if g.chance(0.5) else (y, x)


def _sum(g: RandomGraph, x: Value, opcode: str, options: Any) -> None:
    a, b = _operands(g, x)
    chosen = options(fused_activation_function=g.activation(), pot_scale_int16=False)
    scale = g.output_scale(100 * (a.scale + b.scale))
    g.add(opcode, [a.index, b.index], chosen, x.shape, scale, 0)


def add(g: RandomGraph, x: Value) -> None:
    _sum(g, x, "ADD", AddOptions)


def sub(g: RandomGraph, x: Value) -> None:
    _sum(g, x, "SUB", SubOptions)


def add_of_powers(g: RandomGraph, x: Value) -> None:
    """The sum of two constants' changes of scale: scales that are powers of two."""
    scales = [2.0 ** g.between(-14, -6) for _ in range(2)]
    a, b = (g.constant(x.shape, scale, 0) for scale in scales)
    if g.chance(0.7) and x.scale < _LARGEST_RESCALED:
        g.add("QUANTIZE", [x.index], None, x.shape, scales[0], 0, version=2)
        a = g.values[-1]
    options = AddOptions(fused_activation_function=g.activation())
    g.add("ADD", [a.index, b.index], options, x.shape, max(scales), 0)


def mul(g: RandomGraph, x: Value) -> None:
    a, b = _operands(g, x)
    options = MulOptions(fused_activation_function=g.activation())
    scale = max(g.output_scale(256 * 74 * 74 * a.scale * b.scale), 1.01 * a.scale * b.scale)
    g.add("MUL", [a.index, b.index], options, x.shape, scale, 0)


def _squash(g: RandomGraph, x: Value, opcode: str, options: Any = None) -> None:
    g.add(opcode, [x.index], options, x.shape, _OUTPUT_SCALE, 0)


def logistic(g: RandomGraph, x: Value) -> None:
    if g.chance(0.2) and x.scale < _LARGEST_RESCALED:
        g.add("QUANTIZE", [x.index], None, x.shape, g.pick((2**-12, 2**-11, 2**-13)), 0)
        x = g.values[-1]
    _squash(g, x, g.pick(("LOGISTIC", "TANH")))


def softmax(g: RandomGraph, x: Value) -> None:
    _squash(g, x, "SOFTMAX", SoftmaxOptions(g.pick((1.0, 1.0, 0.5, 3.0))))


def quantize(g: RandomGraph, x: Value) -> None:
    g.add("QUANTIZE", [x.index], None, x.shape, g.output_scale(100 * x.scale), 0, version=2)


def to_int8(g: RandomGraph, x: Value) -> None:
    """An int8 output of the graph."""
    scale, zero_point = 256 * g.output_scale(60 * x.scale), g.between(-128, 127)
    index = g.builder.op(
        "QUANTIZE", [x.index], None, shape=x.shape, scale=scale, zero_point=zero_point, version=2
    )
    g.consumed.add(x.index)
    g.builder.output(index)


def to_float(g: RandomGraph, x: Value) -> None:
    """A float output of the graph."""
    output = g.builder.tensor(x.shape, TensorType.FLOAT32)
    g.builder.operator("DEQUANTIZE", [x.index], None, [output], version=3)
    g.consumed.add(x.index)
    g.builder.output(output)


WINDOW_OPS: tuple[Op, ...] = (conv_2d, depthwise_conv_2d, average_pool_2d, max_pool_2d)
IMAGE_OPS: tuple[Op, ...] = (
    *WINDOW_OPS,
    resize_nearest_neighbor,
    resize_bilinear,
    transpose_conv,
)
OPS: tuple[Op, ...] = (
    fully_connected,
    add,
    sub,
    add_of_powers,
    mul,
    mean,
    pad,
    concatenation,
    reshape,
    softmax,
    logistic,
    relu,
    relu6,
    quantize,
    to_int8,
    to_float,
    expand_dims,
    squeeze,
    transpose,
    slice_,
    strided_slice,
    split,
    split_v,
    pack,
    unpack,
    reverse_v2,
    gather,
    mirror_pad,
    maximum,
    minimum,
    reduce_max,
    reduce_min,
    leaky_relu,
)


def make_int16_graph(rng: np.random.Generator, operators: int | None = None) -> Graph:
    """A valid graph of int16 activations, of up to eight operators."""
    return make_random_graph(rng, operators, ops=OPS, image_ops=IMAGE_OPS, graph=WideGraph(rng))


def single_int16_graph(rng: np.random.Generator, op: Op) -> Graph:
    """A graph of one input and one operator of a kind (with what it needs around it)."""
    return single_op_graph(rng, op, IMAGE_OPS, WideGraph(rng))

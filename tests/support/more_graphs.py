"""Random graphs over every op that the code generator supports and the reference has.

``graphs`` has the ops of most models, and what its seeds give is pinned by many tests: so the other
ops are here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from support.graphs import (
    IMAGE_OPS,
    OPS,
    Op,
    RandomGraph,
    Value,
    make_random_graph,
)
from support.moving_ops import (
    broadcast_to,
    depth_to_space,
    expand_dims,
    gather,
    integers,
    mirror_pad,
    pack,
    reshape_to,
    resize_bilinear,
    resize_nearest_neighbor,
    reverse_v2,
    slice_,
    space_to_batch,
    space_to_depth,
    split,
    split_v,
    squeeze,
    strided_slice,
    tile,
    transpose,
    unpack,
)

from converters.tflite.graph import Graph, Padding, TensorType
from converters.tflite.options import (
    ArgMaxOptions,
    ArgMinOptions,
    BatchMatMulOptions,
    GeluOptions,
    L2NormOptions,
    LeakyReluOptions,
    ReducerOptions,
    SubOptions,
    TransposeConvOptions,
)

# -- tables ------------------------------------------------------------------------------------


def _table(g: RandomGraph, x: Value, opcode: str, options: Any, scale: float) -> None:
    g.add(opcode, [x.index], options, x.shape, scale, g.zero_point(), version=1)


def tanh(g: RandomGraph, x: Value) -> None:
    _table(g, x, "TANH", None, g.pick((1 / 128, g.scale())))


def elu(g: RandomGraph, x: Value) -> None:
    _table(g, x, "ELU", None, g.output_scale(60 * x.scale))


def exp(g: RandomGraph, x: Value) -> None:
    largest = x.scale * (127 - x.zero_point)
    if largest > 60:  # past 2^31 steps of the output the reference overflows
        tanh(g, x)
        return
    _table(g, x, "EXP", None, max(g.scale(), math.exp(largest) / 1e5))


def log(g: RandomGraph, x: Value) -> None:
    _table(g, x, "LOG", None, g.scale())


def rsqrt(g: RandomGraph, x: Value) -> None:
    """Of inputs that are never negative."""
    g.add("QUANTIZE", [x.index], None, x.shape, x.scale, -128, version=1)
    x = g.values[-1]
    _table(g, x, "RSQRT", None, g.output_scale(1 / math.sqrt(x.scale)))


def log_softmax(g: RandomGraph, x: Value) -> None:
    g.add("LOG_SOFTMAX", [x.index], None, x.shape, 1 / 16, 127)


def gelu(g: RandomGraph, x: Value) -> None:
    _table(g, x, "GELU", GeluOptions(g.chance(0.5)), g.output_scale(60 * x.scale))


def leaky_relu(g: RandomGraph, x: Value) -> None:
    options = LeakyReluOptions(float(np.float32(g.pick((0.0, 0.1, 0.3, 1.5)))))
    _table(g, x, "LEAKY_RELU", options, g.output_scale(60 * x.scale))


def abs_(g: RandomGraph, x: Value) -> None:
    _table(g, x, "ABS", None, x.scale if g.chance(0.4) else g.output_scale(60 * x.scale))


def hard_swish(g: RandomGraph, x: Value) -> None:
    # The reference needs an output scale that is not much finer than the input's.
    _table(g, x, "HARD_SWISH", None, max(g.output_scale(60 * x.scale), x.scale / 100))


def relu_n1_to_1(g: RandomGraph, x: Value) -> None:
    _table(g, x, "RELU_N1_TO_1", None, g.pick((1 / 128, x.scale, g.scale())))


# -- two operands ------------------------------------------------------------------------------


def _partner(g: RandomGraph, x: Value, *, same_quantization: bool = False) -> Value:
    """Something that broadcasts with ``x``: a value of its shape, itself, or a constant."""
    alike = [
        v
        for v in g.values
        if v.shape == x.shape
        and (not same_quantization or (v.scale, v.zero_point) == (x.scale, x.zero_point))
    ]
    if g.chance(0.5):
        return g.pick(alike)
    shape = [size if g.chance(0.6) else 1 for size in x.shape]
    shape = shape[g.between(0, len(shape) - 1) :] if g.chance(0.3) else shape
    if same_quantization:
        return g.constant(shape, x.scale, x.zero_point)
    return g.constant(shape, g.scale(), g.zero_point())


def _ordered(g: RandomGraph, x: Value, y: Value) -> list[int]:
    return [x.index, y.index] if g.chance(0.5) else [y.index, x.index]


def sub(g: RandomGraph, x: Value) -> None:
    y = _partner(g, x)
    options = SubOptions(fused_activation_function=g.activation())
    scale = g.output_scale(100 * (x.scale + y.scale))
    g.add("SUB", _ordered(g, x, y), options, x.shape, scale, g.zero_point())


def squared_difference(g: RandomGraph, x: Value) -> None:
    y = _partner(g, x)
    scale = g.output_scale((80 * (x.scale + y.scale)) ** 2)
    g.add("SQUARED_DIFFERENCE", _ordered(g, x, y), None, x.shape, scale, g.zero_point())


def maximum(g: RandomGraph, x: Value) -> None:
    y = _partner(g, x, same_quantization=True)
    g.add("MAXIMUM", _ordered(g, x, y), None, x.shape, x.scale, x.zero_point)


def minimum(g: RandomGraph, x: Value) -> None:
    y = _partner(g, x, same_quantization=True)
    g.add("MINIMUM", _ordered(g, x, y), None, x.shape, x.scale, x.zero_point)


def prelu(g: RandomGraph, x: Value) -> None:
    y = _partner(g, x)
    scale = g.output_scale(60 * x.scale * max(1.0, 60 * y.scale))
    g.add("PRELU", [x.index, y.index], None, x.shape, scale, g.zero_point(), version=1)


def select(g: RandomGraph, x: Value) -> None:
    """A comparison, and a choice by its truth values; scales below 1 are needed."""
    scale = min(x.scale, 0.5)
    if scale != x.scale:
        g.add("QUANTIZE", [x.index], None, x.shape, scale, x.zero_point, version=1)
        x = g.values[-1]
    y = g.constant(
        [size if g.chance(0.5) else 1 for size in x.shape], min(g.scale(), 0.5), g.zero_point()
    )
    if g.chance(0.3):
        y = g.constant(y.shape, x.scale, x.zero_point)  # equal values occur
    condition = g.builder.tensor(x.shape, TensorType.BOOL)
    names = ("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "EQUAL", "NOT_EQUAL")
    g.builder.operator(g.pick(names), _ordered(g, x, y), None, [condition])
    if g.chance(0.5):
        other = g.constant(x.shape, x.scale, x.zero_point)
        choices, opcode = [x.index, other.index], "SELECT"
    else:
        choices, opcode = _ordered(g, x, _partner(g, x, same_quantization=True)), "SELECT_V2"
    g.consumed.update([y.index])
    g.add(opcode, [condition, *choices], None, x.shape, x.scale, x.zero_point, version=1)


def batch_matmul(g: RandomGraph, x: Value) -> None:
    shape = x.shape if len(x.shape) > 1 else (1, *x.shape)
    if shape != x.shape:
        reshape_to(g, x, shape)
        x = g.values[-1]
    adj_x, adj_y, columns = g.chance(0.3), g.chance(0.5), g.between(1, 6)
    rows, depth = (shape[-1], shape[-2]) if adj_x else (shape[-2], shape[-1])
    batches = list(shape[:-2])
    if not adj_x:  # else the reference doesn't repeat the second operand
        batches = [size if g.chance(0.7) else 1 for size in batches]
        batches = batches[g.between(0, len(batches)) :] if g.chance(0.3) else batches
    matrix = [columns, depth] if adj_y else [depth, columns]
    y = g.constant([*batches, *matrix], g.scale(), g.zero_point())
    scale = g.output_scale(74 * 74 * math.sqrt(depth) * x.scale * y.scale)
    options = BatchMatMulOptions(adj_x=adj_x, adj_y=adj_y)
    output = (*shape[:-2], rows, columns)
    g.add("BATCH_MATMUL", [x.index, y.index], options, output, scale, g.zero_point())


# -- sums and products -------------------------------------------------------------------------


def _reduction(g: RandomGraph, x: Value, opcode: str, scale: float, zero_point: int) -> None:
    rank = len(x.shape)
    axes = [axis for axis in range(rank) if g.chance(0.5)] or [g.between(0, rank - 1)]
    keep = g.chance(0.5) or len(axes) == rank
    shape = tuple(
        1 if axis in axes else size for axis, size in enumerate(x.shape) if keep or axis not in axes
    )
    written = [axis - rank if g.chance(0.3) else axis for axis in axes]
    inputs = [x.index, g.builder.constant(np.array(written, np.int32))]
    g.add(opcode, inputs, ReducerOptions(keep_dims=keep), shape, scale, zero_point)


def sum_(g: RandomGraph, x: Value) -> None:
    _reduction(g, x, "SUM", g.output_scale(200 * x.scale), g.zero_point())


def reduce_max(g: RandomGraph, x: Value) -> None:
    _reduction(g, x, "REDUCE_MAX", x.scale, x.zero_point)


def reduce_min(g: RandomGraph, x: Value) -> None:
    _reduction(g, x, "REDUCE_MIN", x.scale, x.zero_point)


def l2_normalization(g: RandomGraph, x: Value) -> None:
    g.add("L2_NORMALIZATION", [x.index], L2NormOptions(), x.shape, 1 / 128, 0)


def transpose_conv(g: RandomGraph, x: Value) -> None:
    batch, height, width, channels = x.shape
    padding = g.pick(tuple(Padding))
    outputs, kh, kw = g.between(1, 5), g.between(1, 4), g.between(1, 4)
    sh, sw = g.between(1, 3), g.between(1, 3)
    shape = (batch, *(_enlarged(padding, *one) for one in ((height, kh, sh), (width, kw, sw))))
    per_channel = outputs > 1 and g.chance(0.7)
    scales = (10.0 ** g.rng.uniform(-3, -1, outputs if per_channel else 1)).tolist()
    taps = g.rng.integers(-127, 128, (outputs, kh, kw, channels)).astype(np.int8)
    weights = g.builder.constant(taps, scales=scales, axis=0)
    spread = 74 * 100 * math.sqrt(kh * kw * channels)
    inputs = [g.builder.constant(np.array([*shape, outputs], np.int32)), weights, x.index]
    if g.chance(0.6):
        bias = g.rng.integers(-int(spread), int(spread), outputs)
        inputs.append(g.constant_bias(bias, [x.scale * scale for scale in scales]))
    options = TransposeConvOptions(padding, sw, sh, g.activation())
    scale = g.output_scale(spread * x.scale * float(np.median(scales)))
    g.add("TRANSPOSE_CONV", inputs, options, (*shape, outputs), scale, g.zero_point(), version=4)


def _enlarged(padding: Padding, size: int, filter_size: int, stride: int) -> int:
    return size * stride if padding is Padding.SAME else (size - 1) * stride + filter_size


# -- other types: outputs of the graph ---------------------------------------------------------


def _arg(g: RandomGraph, x: Value, opcode: str, options: Any) -> None:
    axis = g.between(0, len(x.shape) - 1)
    type_ = TensorType.INT64 if g.chance(0.5) else TensorType.INT32
    output = g.builder.tensor((*x.shape[:axis], *x.shape[axis + 1 :]), type_)
    inputs = [x.index, integers(g, [axis - len(x.shape) if g.chance(0.3) else axis])]
    g.builder.operator(opcode, inputs, options(type_), [output], version=1)
    g.builder.output(output)
    g.consumed.update(inputs)


def arg_max(g: RandomGraph, x: Value) -> None:
    _arg(g, x, "ARG_MAX", ArgMaxOptions)


def arg_min(g: RandomGraph, x: Value) -> None:
    _arg(g, x, "ARG_MIN", ArgMinOptions)


def dequantize(g: RandomGraph, x: Value) -> None:
    output = g.builder.tensor(x.shape, TensorType.FLOAT32)
    g.builder.operator("DEQUANTIZE", [x.index], None, [output], version=2)
    g.builder.output(output)
    g.consumed.add(x.index)


ALL_IMAGE_OPS: tuple[Op, ...] = (
    *IMAGE_OPS,
    space_to_depth,
    depth_to_space,
    space_to_batch,
    resize_nearest_neighbor,
    resize_bilinear,
    transpose_conv,
)
ALL_OPS: tuple[Op, ...] = (
    *OPS,
    tanh,
    elu,
    exp,
    log,
    log_softmax,
    rsqrt,
    gelu,
    leaky_relu,
    abs_,
    hard_swish,
    relu_n1_to_1,
    sub,
    squared_difference,
    maximum,
    minimum,
    prelu,
    select,
    batch_matmul,
    expand_dims,
    squeeze,
    transpose,
    slice_,
    strided_slice,
    split,
    split_v,
    pack,
    unpack,
    tile,
    broadcast_to,
    reverse_v2,
    gather,
    mirror_pad,
    sum_,
    reduce_max,
    reduce_min,
    l2_normalization,
    arg_max,
    arg_min,
    dequantize,
)


def make_any_graph(rng: np.random.Generator, operators: int | None = None) -> Graph:
    """``make_random_graph`` over all ops."""
    return make_random_graph(rng, operators, ops=ALL_OPS, image_ops=ALL_IMAGE_OPS)


def any_graphs() -> st.SearchStrategy[tuple[int, Graph]]:
    """Hypothesis: (seed, graph); a failure names the seed."""
    seeds = st.integers(0, 2**32 - 1)
    return seeds.map(lambda seed: (seed, make_any_graph(np.random.default_rng(seed))))

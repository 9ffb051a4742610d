"""Layers for the kernels of level ``dsp``: sizes, paddings and quantizations at their edges.

One graph holds many layers, each with an input and an output of its own, so that one firmware tries
them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import (
    AddOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    MulOptions,
    Pool2DOptions,
    ReducerOptions,
)

_ACTIVATIONS = (Activation.RELU, Activation.NONE, Activation.RELU6, Activation.RELU_N1_TO_1)


def dsp_graph(rng: np.random.Generator, layers: int) -> Graph:
    """Independent random layers: convolutions, depthwise and dense ones, sums, pools, means."""
    b = GraphBuilder("layers")
    kinds = (_convolution, _convolution, _depthwise, _depthwise, _dense, _add, _mul, _pool, _mean)
    for number in range(layers):
        b.output(kinds[number % len(kinds)](b, rng))
    return b.graph()


def _pick(rng: np.random.Generator, *items: Any) -> Any:
    return items[int(rng.integers(len(items)))]


def _quantization(rng: np.random.Generator, activation: Activation) -> int:
    """An output zero point: -128, as behind a ReLU, or any."""
    return -128 if activation is Activation.RELU else _pick(rng, -128, 127, 3, -17)


def _places(size: int, padding: Padding, filter_size: int, stride: int, dilation: int) -> int:
    if padding is Padding.SAME:
        return -(-size // stride)
    return (size - (filter_size - 1) * dilation - 1) // stride + 1


def _weights(rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Now and then with -128, channels of zeros, and channels of large weights."""
    low = _pick(rng, -127, -128)
    taps = rng.integers(low, 128, shape)
    channel = int(rng.integers(shape[axis]))
    view = np.moveaxis(taps, axis, 0)
    view[channel] = _pick(rng, view[channel], 0, 127, low)
    return taps.astype(np.int8)


def _window(rng: np.random.Generator, fixed: bool, large: bool) -> tuple[int, ...]:
    """Height and width of the filter, strides, dilations."""
    if fixed:
        stride = _pick(rng, 1, 1, 2)
        return 3, 3, stride, stride, 1, 1
    sizes = [int(n) for n in rng.integers(1, 5, 2)]
    if large:
        sizes = _pick(rng, (5, 5), (5, 5), (7, 7), (1, 9), (8, 1), (4, 6), (9, 5))
    strides = [int(n) for n in rng.integers(1, 4, 2)]
    return (*sizes, *strides, _pick(rng, 1, 1, 2), _pick(rng, 1, 1, 2))


def _image_layer(
    b: GraphBuilder, rng: np.random.Generator, depthwise: bool, channels: int, outputs: int
) -> int:
    pointwise = not depthwise and rng.random() < 0.3
    kh, kw, sh, sw, dh, dw = (
        (1,) * 6
        if pointwise
        else _window(
            rng, rng.random() < (0.4 if depthwise else 0.6), depthwise and rng.random() < 0.6
        )
    )
    padding = _pick(rng, *Padding)
    least_h, least_w = (1, 1) if padding is Padding.SAME else ((kh - 1) * dh + 1, (kw - 1) * dw + 1)
    height = least_h + int(rng.integers(0, 8))
    width = least_w + int(rng.integers(0, 8))
    batches = _pick(rng, 1, 1, 2)
    activation = _pick(rng, *_ACTIVATIONS)
    zero_point = _pick(rng, -128, 127, 5)
    x = b.input((batches, height, width, channels), 0.05, zero_point)
    shape = (1, kh, kw, outputs) if depthwise else (outputs, kh, kw, channels)
    axis = 3 if depthwise else 0
    scales = [float(np.float32(s)) for s in 10.0 ** rng.uniform(-3.5, -1, outputs)]
    w = b.constant(_weights(rng, shape, axis), scales=scales, axis=axis)
    spread = int(128 * 100 * np.sqrt(kh * kw * (1 if depthwise else channels)))
    bias = rng.integers(-spread, spread, outputs).astype(np.int32)
    if rng.random() < 0.2:
        bias[int(rng.integers(outputs))] = 1 << 24  # beyond what can be A of a pair
    c = b.constant(bias, scales=[0.05 * scale for scale in scales])
    common = (padding, sw, sh)
    options: Any = Conv2DOptions(*common, activation, dw, dh)
    if depthwise:
        options = DepthwiseConv2DOptions(*common, outputs // channels, activation, dw, dh)
    rows = _places(height, padding, kh, sh, dh)
    columns = _places(width, padding, kw, sw, dw)
    return b.op(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [x, w, c],
        options,
        shape=(batches, rows, columns, outputs),
        scale=float(np.float32(10.0 ** rng.uniform(-1.5, 0.5))),
        zero_point=_quantization(rng, activation),
        version=3,
    )


def _convolution(b: GraphBuilder, rng: np.random.Generator) -> int:
    channels = _pick(rng, 1, 2, 3, 4, 8, 13, 16, 20)
    return _image_layer(b, rng, False, channels, int(rng.integers(1, 14)))


def depthwise_layer(rng: np.random.Generator, channels: int, outputs: int) -> Graph:
    """A random depthwise layer by itself."""
    b = GraphBuilder("depthwise")
    b.output(_image_layer(b, rng, True, channels, outputs))
    return b.graph()


def depthwise_with_factors(rng: np.random.Generator, size: int, factors: Sequence[float]) -> Graph:
    """Depthwise layers with strides of 1 and 2 whose results are small: roundings show in them.

    Args:
        rng: Of the weights.
        size: Height and width of the filter.
        factors: Input scale * weight scale / output scale, of each channel.
    """
    b = GraphBuilder("depthwise")
    scales = [float(np.float32(factor)) for factor in factors]
    for stride in (1, 2):
        x = b.input((1, 9, 9, len(scales)), 1.0, 3)
        taps = rng.integers(-3, 4, (1, size, size, len(scales))).astype(np.int8)
        bias = rng.integers(-9, 9, len(scales)).astype(np.int32)
        y = b.op(
            "DEPTHWISE_CONV_2D",
            [x, b.constant(taps, scales=scales, axis=3), b.constant(bias, scales=scales)],
            DepthwiseConv2DOptions(Padding.SAME, stride, stride, 1, Activation.NONE, 1, 1),
            shape=(1, -(-9 // stride), -(-9 // stride), len(scales)),
            scale=1.0,
            zero_point=3,
            version=3,
        )
        b.output(y)
    return b.graph()


def _depthwise(b: GraphBuilder, rng: np.random.Generator) -> int:
    channels = _pick(rng, 4, 4, 5, 7, 8, 12, 3, 1, 19)
    multiplier = _pick(rng, 1, 1, 1, 2, 3) if channels > 1 else int(rng.integers(1, 14))
    return _image_layer(b, rng, True, channels, channels * multiplier)


def _dense(b: GraphBuilder, rng: np.random.Generator) -> int:
    depth = _pick(rng, 1, 3, 8, 12, 31, 64, 127, 128, 129, 200, 257, 300)
    outputs = _pick(rng, 1, 2, 3, 4, 8, 10, 63, 65, 130)
    rows = _pick(rng, 1, 1, 2, 3, 4)
    per_channel = rng.random() < 0.5
    activation = _pick(rng, *_ACTIVATIONS)
    x = b.input((rows, depth), 0.05, _pick(rng, -128, 127, 5))
    count = outputs if per_channel else 1
    scales = [float(np.float32(s)) for s in 10.0 ** rng.uniform(-3, -1.5, count)]
    w = b.constant(_weights(rng, (outputs, depth), 0), scales=scales, axis=0)
    bias = rng.integers(-9000, 9000, outputs).astype(np.int32)
    c = b.constant(bias, scales=[float(np.float32(0.05) * np.float32(s)) for s in scales])
    return b.op(
        "FULLY_CONNECTED",
        [x, w, c],
        FullyConnectedOptions(activation),
        shape=(rows, outputs),
        scale=float(np.float32(10.0 ** rng.uniform(-0.5, 1))),
        zero_point=_quantization(rng, activation),
        version=5,
    )


def _add(b: GraphBuilder, rng: np.random.Generator) -> int:
    shape = (1, int(rng.integers(1, 5)), int(rng.integers(1, 30)))
    scales = [float(np.float32(s)) for s in 10.0 ** rng.uniform(-1.5, 0, 3)]
    inputs = [b.input(shape, scale, int(rng.integers(-128, 128))) for scale in scales[:2]]
    return b.op(
        "ADD",
        inputs,
        AddOptions(fused_activation_function=_pick(rng, *_ACTIVATIONS)),
        shape=shape,
        scale=scales[2],
        zero_point=int(rng.integers(-128, 128)),
        version=2,
    )


def _pool(b: GraphBuilder, rng: np.random.Generator) -> int:
    padding, activation = _pick(rng, *Padding), _pick(rng, *_ACTIVATIONS)
    sizes = [int(n) for n in rng.integers(1, 5, 2)]
    strides = [int(n) for n in rng.integers(1, 4, 2)]
    extents = [size + int(rng.integers(0, 20)) for size in sizes]
    if rng.random() < 0.2:
        sizes = extents  # the whole image, now and then of more than 256 pixels
    batches, channels = _pick(rng, 1, 2), _pick(rng, 1, 3, 4, 8, 15, 16, 17, 40)
    x = b.input((batches, *extents, channels), 0.05, _pick(rng, -128, 127, 5))
    places = [
        _places(*each, 1) for each in zip(extents, [padding] * 2, sizes, strides, strict=True)
    ]
    return b.op(
        _pick(rng, "AVERAGE_POOL_2D", "MAX_POOL_2D"),
        [x],
        Pool2DOptions(padding, strides[1], strides[0], sizes[1], sizes[0], activation),
        shape=(batches, *places, channels),
        scale=0.05,
        zero_point=b.graph().tensor(x).zero_point,
        version=2,
    )


def _mean(b: GraphBuilder, rng: np.random.Generator) -> int:
    shape = (_pick(rng, 1, 2), *(int(n) for n in rng.integers(1, 21, 2)), _pick(rng, 1, 6, 16, 35))
    axes = _pick(rng, (1, 2), (1,), (2,), (3,), (0, 2), (1, 3), (1, 2, 3))
    x = b.input(shape, 0.05, _pick(rng, -128, 127, 5))
    return b.op(
        _pick(rng, "MEAN", "SUM"),
        [x, b.constant(np.array(axes, np.int32))],
        ReducerOptions(keep_dims=False),
        shape=tuple(size for d, size in enumerate(shape) if d not in axes),
        scale=float(np.float32(10.0 ** rng.uniform(-2, 0))),
        zero_point=int(rng.integers(-128, 128)),
        version=2,
    )


def _mul(b: GraphBuilder, rng: np.random.Generator) -> int:
    shape = (1, *(int(n) for n in rng.integers(1, 9, 2)), _pick(rng, 1, 3, 8, 21))
    other = _pick(rng, shape, (1, 1, 1, shape[3]), (1, *shape[1:3], 1), (1, 1, shape[2], 1))
    scales = [float(np.float32(s)) for s in 10.0 ** rng.uniform(-1.5, 0, 2)]
    inputs = [
        b.input(each, scale, int(rng.integers(-128, 128)))
        for each, scale in zip((shape, other), scales, strict=True)
    ]
    # Products at halves of the output's steps, now and then; and factors above 1/2.
    step = scales[0] * scales[1] * _pick(rng, 2.0, 1024.0, *(10.0 ** rng.uniform(-0.5, 3, 2)))
    return b.op(
        "MUL",
        inputs,
        MulOptions(_pick(rng, *_ACTIVATIONS)),
        shape=shape,
        scale=float(np.float32(step)),
        zero_point=int(rng.integers(-128, 128)),
        version=2,
    )

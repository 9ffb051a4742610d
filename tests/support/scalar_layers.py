"""Layers for the portable convolutions and dense layers: what only they compute.

Groups, depth multipliers, images of a single column, weights with a zero point, factors from below
2**-20 up to above 1, channels that are nearly or wholly constant.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
)

_INPUT_SCALE = 0.05
_ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU6)


def scalar_graph(rng: np.random.Generator, layers: int) -> Graph:
    """Independent random layers: grouped convolutions, depthwise ones, dense ones."""
    b = GraphBuilder("layers")
    for number in range(layers):
        b.output((_grouped, _depthwise, _dense)[number % 3](b, rng))
    return b.graph()


def _pick(rng: np.random.Generator, *items: Any) -> Any:
    return items[int(rng.integers(len(items)))]


def _quantities(
    rng: np.random.Generator, outputs: int, taps: int
) -> tuple[list[float], np.ndarray, float]:
    """Scales of the weights, biases, and the output's scale."""
    output_scale = float(np.float32(10.0 ** rng.uniform(-2, 0.5)))
    # Factors are about these; one layer in three has a channel that shifts to the left.
    exponents = rng.uniform(-4, -1, outputs)
    if rng.random() < 0.3:
        exponents[int(rng.integers(outputs))] = _pick(rng, 0.2, -0.15, -6.5)
    scales = [float(np.float32(10.0**e * output_scale / _INPUT_SCALE)) for e in exponents]
    bias = rng.integers(-9000, 9000, outputs) * int(np.sqrt(taps))
    if rng.random() < 0.3:
        bias[int(rng.integers(outputs))] = _pick(rng, 1 << 24, -(1 << 24))
    return scales, bias.astype(np.int32), output_scale


def _taps(rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> np.ndarray:
    taps = rng.integers(-128, 128, shape).astype(np.int8)
    if rng.random() < 0.3:
        np.moveaxis(taps, axis, 0)[int(rng.integers(shape[axis]))] = _pick(rng, 0, 127, -128)
    return taps


def _places(size: int, padding: Padding, filter_size: int, stride: int, dilation: int) -> int:
    if padding is Padding.SAME:
        return -(-size // stride)
    return (size - (filter_size - 1) * dilation - 1) // stride + 1


def _image_layer(
    b: GraphBuilder, rng: np.random.Generator, opcode: str, sizes: tuple[int, int, int]
) -> int:
    """A convolution with input channels, filter's channels and output channels as given."""
    channels, depth, outputs = sizes
    kh, kw, sh, sw = (int(n) for n in rng.integers(1, 5, 4))
    if rng.random() < 0.5:
        kh, kw, sh, sw = 3, 3, *[_pick(rng, 1, 2)] * 2
    dh, dw = _pick(rng, 1, 1, 2), _pick(rng, 1, 1, 3)
    padding = _pick(rng, *Padding)
    least = (1, 1) if padding is Padding.SAME else ((kh - 1) * dh + 1, (kw - 1) * dw + 1)
    height, width = (size + _pick(rng, 0, 1, 2, 3, 8) for size in least)
    batches = _pick(rng, 1, 1, 2)
    x = b.input((batches, height, width, channels), _INPUT_SCALE, _pick(rng, -128, 127, 5))
    depthwise = opcode == "DEPTHWISE_CONV_2D"
    shape = (1, kh, kw, outputs) if depthwise else (outputs, kh, kw, depth)
    axis = 3 if depthwise else 0
    scales, bias, scale = _quantities(rng, outputs, kh * kw * depth)
    w = b.constant(_taps(rng, shape, axis), scales=scales, axis=axis)
    c = b.constant(bias, scales=[_INPUT_SCALE * each for each in scales])
    activation = _pick(rng, *_ACTIVATIONS)
    options: Any = Conv2DOptions(padding, sw, sh, activation, dw, dh)
    if depthwise:
        options = DepthwiseConv2DOptions(padding, sw, sh, outputs // channels, activation, dw, dh)
    rows, columns = _places(height, padding, kh, sh, dh), _places(width, padding, kw, sw, dw)
    return b.op(
        opcode,
        [x, w, c],
        options,
        shape=(batches, rows, columns, outputs),
        scale=scale,
        zero_point=_pick(rng, -128, -128, 127, 9),
        version=6,
    )


def _grouped(b: GraphBuilder, rng: np.random.Generator) -> int:
    groups, depth, filters = (int(n) for n in rng.integers(1, (4, 6, 8)))
    return _image_layer(b, rng, "CONV_2D", (groups * depth, depth, groups * filters))


def _depthwise(b: GraphBuilder, rng: np.random.Generator) -> int:
    channels, multiplier = _pick(rng, 1, 2, 3, 4, 5, 8, 9), _pick(rng, 1, 1, 2, 3, 8)
    return _image_layer(b, rng, "DEPTHWISE_CONV_2D", (channels, 1, channels * multiplier))


def _dense(b: GraphBuilder, rng: np.random.Generator) -> int:
    rows, depth, outputs = (int(n) for n in rng.integers(1, (4, 40, 22)))
    scales, bias, scale = _quantities(rng, outputs, depth)
    if per_tensor := rng.random() < 0.6:
        scales = scales[:1]
    x = b.input((rows, depth), _INPUT_SCALE, _pick(rng, -128, 127, 5))
    zero_points = [_pick(rng, 0, 3, -128, 127)] if per_tensor else [0] * outputs
    w = b.constant(_taps(rng, (outputs, depth), 0), scales=scales, zero_points=zero_points, axis=0)
    product = [float(np.float32(_INPUT_SCALE) * np.float32(each)) for each in scales]
    return b.op(
        "FULLY_CONNECTED",
        [x, w, b.constant(bias, scales=product)],
        FullyConnectedOptions(_pick(rng, *_ACTIVATIONS)),
        shape=(rows, outputs),
        scale=scale,
        zero_point=_pick(rng, -128, 127, 9),
        version=5,
    )

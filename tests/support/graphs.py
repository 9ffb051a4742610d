"""Random small int8 graphs over the ops of most models; ``more_graphs`` adds all others.

``make_random_graph`` is a pure function of a NumPy generator; ``random_graphs`` is the hypothesis
strategy over its seeds. Quantization, shapes and options are drawn with their edges in mind: zero
points -128 and 127, windows larger than the image, single pixels, odd strides and dilations, output
scales that saturate, and branches that meet again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding, Tensor, TensorType
from converters.tflite.options import (
    AddOptions,
    ConcatenationOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    MulOptions,
    Pool2DOptions,
    ReducerOptions,
    ReshapeOptions,
    SoftmaxOptions,
)

ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)
_MAX_ELEMENTS = 1500


@dataclass(frozen=True)
class Value:
    """A tensor that an operator may read."""

    index: int
    shape: tuple[int, ...]
    scale: float
    zero_point: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass
class RandomGraph:
    """A graph being grown, one random operator at a time."""

    rng: np.random.Generator
    builder: GraphBuilder = field(default_factory=lambda: GraphBuilder("random"))
    values: list[Value] = field(default_factory=list)
    consumed: set[int] = field(default_factory=set)
    type: TensorType = TensorType.INT8

    # -- draws ---------------------------------------------------------------------------------

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def scale(self) -> float:
        return float(np.float32(10.0 ** self.rng.uniform(-2.5, 0.5)))

    def zero_point(self) -> int:
        return self.pick((-128, 127, 0, self.between(-128, 127), self.between(-128, 127)))

    def int8(self, shape: Sequence[int]) -> np.ndarray:
        return self.rng.integers(-128, 128, tuple(shape)).astype(np.int8)

    def values_of(self, shape: Sequence[int]) -> np.ndarray:
        """Values of the graph's own type."""
        limits = np.iinfo(self.type.dtype)
        return self.rng.integers(limits.min, limits.max + 1, tuple(shape)).astype(self.type.dtype)

    def activation(self) -> Activation:
        return self.pick(ACTIVATIONS)

    def output_scale(self, spread: float) -> float:
        """A scale that spreads results of this magnitude over int8; now and then far off."""
        off = 10.0 ** self.rng.uniform(-1.5, 1.5) if self.chance(0.2) else self.rng.uniform(0.6, 2)
        return float(np.float32(max(spread, 1e-6) / 60 * off))

    # -- graph ---------------------------------------------------------------------------------

    def source(self) -> Value:
        """An input of the graph."""
        rank = self.pick((4, 4, 4, 2, 3))
        shape = {
            4: (self.pick((1, 1, 2)), self.between(1, 9), self.between(1, 9), self.between(1, 8)),
            3: (self.between(1, 3), self.between(1, 8), self.between(1, 9)),
            2: (self.between(1, 3), self.between(1, 40)),
        }[rank]
        scale, zero_point = self.scale(), self.zero_point()
        index = self.builder.input(shape, scale, zero_point, self.type)
        value = Value(index, shape, scale, zero_point)
        self.values.append(value)
        return value

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
        """Appends an operator and makes its output a value."""
        index = self.builder.op(
            opcode,
            inputs,
            options,
            shape=shape,
            scale=scale,
            zero_point=zero_point,
            type=self.type,
            version=version,
        )
        self.consumed.update(inputs)
        scale = float(np.float32(scale))
        self.values.append(Value(index, tuple(shape), scale, zero_point))

    def constant(self, shape: Sequence[int], scale: float, zero_point: int) -> Value:
        data = self.values_of(shape)
        index = self.builder.constant(data, scales=[scale], zero_points=[zero_point])
        return Value(index, tuple(shape), scale, zero_point)

    def bias(self, channels: int, source: Value, scales: Sequence[float], spread: float) -> int:
        """A constant of ``channels`` values of about this magnitude."""
        width = max(1, int(spread))
        values = self.rng.integers(-width, width + 1, channels)
        product = [float(np.float32(source.scale * scale)) for scale in scales]
        return self.constant_bias(values, product)

    def constant_bias(self, values: np.ndarray, scales: Sequence[float]) -> int:
        return self.builder.constant(values.astype(np.int32), scales=scales)

    def graph(self) -> Graph:
        """The graph; what nobody read is an output, and sometimes more than that."""
        last = self.values[-1].index
        inputs = set(self.builder.graph().inputs)
        for value in self.values:
            unread = value.index not in self.consumed and value.index not in inputs
            if unread or value.index == last or (value.index not in inputs and self.chance(0.1)):
                self.builder.output(value.index)
        return self.builder.graph()


def _weights_scales(g: RandomGraph, channels: int, per_channel: bool) -> list[float]:
    count = channels if per_channel else 1
    return [float(np.float32(s)) for s in 10.0 ** g.rng.uniform(-3, -1, count)]


def _window(g: RandomGraph, size: int, padding: Padding) -> tuple[int, int, int]:
    """Filter size, stride and dilation that leave at least one place."""
    while True:
        filter_size, stride, dilation = g.between(1, 4), g.between(1, 3), g.pick((1, 1, 1, 2, 3))
        if padding is Padding.SAME or (filter_size - 1) * dilation + 1 <= size:
            return filter_size, stride, dilation


def _places(size: int, padding: Padding, filter_size: int, stride: int, dilation: int) -> int:
    if padding is Padding.SAME:
        return -(-size // stride)
    return (size - (filter_size - 1) * dilation - 1) // stride + 1


def _convolution(g: RandomGraph, x: Value, depthwise: bool) -> None:
    padding = g.pick(tuple(Padding))
    batch, height, width, channels = x.shape
    kh, sh, dh = _window(g, height, padding)
    kw, sw, dw = _window(g, width, padding)
    groups = 1
    if depthwise:
        outputs = channels * g.pick((1, 1, 2, 3))
        shape = (1, kh, kw, outputs)
    else:
        groups = g.pick([d for d in range(1, channels + 1) if channels % d == 0] + [1, 1])
        outputs = groups * g.between(1, 4)
        shape = (outputs, kh, kw, channels // groups)
    scales = _weights_scales(g, outputs, g.chance(0.7))
    taps = g.rng.integers(-127, 128, shape).astype(np.int8)
    if g.chance(0.1):  # dead channels occur in trained models
        taps[..., 0] = 0
    weights = g.builder.constant(taps, scales=scales, axis=3 if depthwise else 0)
    depth = kh * kw * (1 if depthwise else channels // groups)
    spread = 74 * 100 * math.sqrt(depth)
    inputs = [x.index, weights]
    # The reference needs the bias of CONV_2D.
    if not depthwise or g.chance(0.8):
        inputs.append(g.bias(outputs, x, scales, spread))
    common: dict[str, Any] = {
        "padding": padding,
        "stride_w": sw,
        "stride_h": sh,
        "fused_activation_function": g.activation(),
        "dilation_w_factor": dw,
        "dilation_h_factor": dh,
    }
    options: Any = Conv2DOptions(**common)
    if depthwise:
        options = DepthwiseConv2DOptions(depth_multiplier=outputs // channels, **common)
    g.add(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        inputs,
        options,
        (batch, _places(height, padding, kh, sh, dh), _places(width, padding, kw, sw, dw), outputs),
        g.output_scale(spread * x.scale * float(np.median(scales))),
        g.zero_point(),
        version=6 if groups > 1 else 3,
    )


def conv_2d(g: RandomGraph, x: Value) -> None:
    _convolution(g, x, depthwise=False)


def depthwise_conv_2d(g: RandomGraph, x: Value) -> None:
    _convolution(g, x, depthwise=True)


def fully_connected(g: RandomGraph, x: Value) -> None:
    keep = g.chance(0.4)
    depth = x.shape[-1]
    if not keep and g.chance(0.5):
        depth = x.elements // x.shape[0]
    units = g.between(1, 12)
    per_channel = g.chance(0.4) and units > 1
    scales = _weights_scales(g, units, per_channel)
    zero_points = [0] * len(scales)
    if not per_channel and g.chance(0.2):
        zero_points = [g.between(-128, 127)]
    weights = g.builder.constant(g.int8((units, depth)), scales=scales, zero_points=zero_points)
    spread = 74 * 100 * math.sqrt(depth)
    inputs = [x.index, weights]
    if g.chance(0.7):
        inputs.append(g.bias(units, x, scales, spread))
    elif g.chance(0.5):
        inputs.append(-1)
    shape = (*x.shape[:-1], units) if keep else (x.elements // depth, units)
    options = FullyConnectedOptions(fused_activation_function=g.activation(), keep_num_dims=keep)
    scale = g.output_scale(spread * x.scale * float(np.median(scales)))
    if len(inputs) == 3 and inputs[2] >= 0 and not per_channel:
        # The reference compares the bias' scale with the product in units of the output.
        scale = max(scale, x.scale * scales[0] * 1e-3)
    g.add("FULLY_CONNECTED", inputs, options, shape, scale, g.zero_point(), version=4)
    g.consumed.discard(-1)


def _operand(g: RandomGraph, x: Value) -> Value:
    """Something that broadcasts with ``x``: a value of its shape, itself, or a constant."""
    same = [v for v in g.values if v.shape == x.shape]
    if g.chance(0.5):
        return g.pick(same)
    shape = [size if g.chance(0.6) else 1 for size in x.shape]
    shape = shape[g.between(0, len(shape) - 1) :] if g.chance(0.3) else shape
    return g.constant(shape, g.scale(), g.zero_point())


def _two(g: RandomGraph, x: Value) -> tuple[Value, Value]:
    y = _operand(g, x)
    return (x, y) if g.chance(0.5) else (y, x)


def add(g: RandomGraph, x: Value) -> None:
    a, b = _two(g, x)
    options = AddOptions(fused_activation_function=g.activation())
    scale = g.output_scale(100 * (a.scale + b.scale))
    g.add("ADD", [a.index, b.index], options, x.shape, scale, g.zero_point())


def mul(g: RandomGraph, x: Value) -> None:
    a, b = _two(g, x)
    options = MulOptions(fused_activation_function=g.activation())
    scale = g.output_scale(74 * 74 * a.scale * b.scale)
    g.add("MUL", [a.index, b.index], options, x.shape, scale, g.zero_point())


def _pool(g: RandomGraph, x: Value, opcode: str) -> None:
    padding = g.pick(tuple(Padding))
    batch, height, width, channels = x.shape
    kh, sh, _ = _window(g, height, padding)
    kw, sw, _ = _window(g, width, padding)
    if padding is Padding.VALID:
        kh, kw = min(kh, height), min(kw, width)
    options = Pool2DOptions(padding, sw, sh, kw, kh, g.activation())
    shape = (
        batch,
        _places(height, padding, kh, sh, 1),
        _places(width, padding, kw, sw, 1),
        channels,
    )
    g.add(opcode, [x.index], options, shape, x.scale, x.zero_point)


def average_pool_2d(g: RandomGraph, x: Value) -> None:
    _pool(g, x, "AVERAGE_POOL_2D")


def max_pool_2d(g: RandomGraph, x: Value) -> None:
    _pool(g, x, "MAX_POOL_2D")


def mean(g: RandomGraph, x: Value) -> None:
    rank = len(x.shape)
    axes = [axis for axis in range(rank) if g.chance(0.5)] or [g.between(0, rank - 1)]
    keep = g.chance(0.5) or len(axes) == rank
    shape = tuple(
        1 if axis in axes else size for axis, size in enumerate(x.shape) if keep or axis not in axes
    )
    written = [axis - rank if g.chance(0.3) else axis for axis in axes]
    if g.chance(0.1):
        written.append(written[0])
    constant = g.builder.constant(np.array(written, np.int32))
    same = g.chance(0.4)
    scale = x.scale if same else g.output_scale(60 * x.scale)
    zero_point = x.zero_point if same else g.zero_point()
    options = ReducerOptions(keep_dims=keep)
    g.add("MEAN", [x.index, constant], options, shape, scale, zero_point)


def _pad(g: RandomGraph, x: Value, opcode: str) -> None:
    paddings = np.array([(g.between(0, 2), g.between(0, 2)) for _ in x.shape])
    paddings = paddings.astype(np.int64 if g.chance(0.3) else np.int32)
    inputs = [x.index, g.builder.constant(paddings)]
    if opcode == "PADV2":
        inputs.append(g.constant((1,), x.scale, x.zero_point).index)
    shape = [size + int(pair.sum()) for size, pair in zip(x.shape, paddings, strict=True)]
    g.add(opcode, inputs, None, shape, x.scale, x.zero_point)


def pad(g: RandomGraph, x: Value) -> None:
    _pad(g, x, "PAD")


def padv2(g: RandomGraph, x: Value) -> None:
    _pad(g, x, "PADV2")


def concatenation(g: RandomGraph, x: Value) -> None:
    axis = g.between(0, len(x.shape) - 1)
    parts = [x]
    for _ in range(g.between(1, 3)):
        alike = [
            v
            for v in g.values
            if (v.scale, v.zero_point) == (x.scale, x.zero_point)
            and len(v.shape) == len(x.shape)
            and all(d == axis or v.shape[d] == x.shape[d] for d in range(len(x.shape)))
        ]
        if g.chance(0.6):
            parts.append(g.pick(alike))
        else:
            shape = list(x.shape)
            shape[axis] = g.between(1, 3)
            parts.append(g.constant(shape, x.scale, x.zero_point))
    order = list(g.rng.permutation(len(parts)))
    shape = list(x.shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    options = ConcatenationOptions(axis=axis - len(shape) if g.chance(0.3) else axis)
    inputs = [parts[i].index for i in order]
    g.add("CONCATENATION", inputs, options, shape, x.scale, x.zero_point)


def reshape(g: RandomGraph, x: Value) -> None:
    shape = [x.elements]
    for _ in range(g.between(0, 3)):
        position = g.between(0, len(shape) - 1)
        size = shape[position]
        divisor = g.pick([d for d in range(1, size + 1) if size % d == 0])
        shape[position : position + 1] = [divisor, size // divisor]
    constant = g.builder.constant(np.array(shape, np.int32))
    options = ReshapeOptions(tuple(shape))
    g.add("RESHAPE", [x.index, constant], options, shape, x.scale, x.zero_point, version=1)


def softmax(g: RandomGraph, x: Value) -> None:
    options = SoftmaxOptions(g.pick((1.0, 1.0, 0.5, 3.0)))
    g.add("SOFTMAX", [x.index], options, x.shape, 1 / 256, -128)


def logistic(g: RandomGraph, x: Value) -> None:
    g.add("LOGISTIC", [x.index], None, x.shape, 1 / 256, -128)


def _rescale(g: RandomGraph, x: Value, opcode: str, version: int) -> None:
    same = g.chance(0.3)
    scale = x.scale if same else g.output_scale(100 * x.scale)
    zero_point = x.zero_point if same else g.zero_point()
    g.add(opcode, [x.index], None, x.shape, scale, zero_point, version)


def relu(g: RandomGraph, x: Value) -> None:
    _rescale(g, x, "RELU", 2)


def relu6(g: RandomGraph, x: Value) -> None:
    _rescale(g, x, "RELU6", 2)


def quantize(g: RandomGraph, x: Value) -> None:
    _rescale(g, x, "QUANTIZE", 1)


Op = Callable[[RandomGraph, Value], None]
IMAGE_OPS: tuple[Op, ...] = (
    conv_2d,
    depthwise_conv_2d,
    average_pool_2d,
    max_pool_2d,
)
OPS: tuple[Op, ...] = (
    fully_connected,
    add,
    mul,
    mean,
    pad,
    padv2,
    concatenation,
    reshape,
    softmax,
    logistic,
    relu,
    relu6,
    quantize,
)


def make_random_graph(
    rng: np.random.Generator,
    operators: int | None = None,
    *,
    ops: Sequence[Op] = OPS,
    image_ops: Sequence[Op] = IMAGE_OPS,
    graph: RandomGraph | None = None,
) -> Graph:
    """A valid graph of up to eight operators, with one to three inputs.

    Args:
        rng: The source of all choices.
        operators: How many operators; drawn if None.
        ops: What operators there may be; by default those of most models.
        image_ops: Those that need four dimensions.
        graph: What is grown; an int8 graph by default.
    """
    g = graph or RandomGraph(rng)
    for _ in range(g.pick((1, 1, 2, 3))):
        g.source()
    for _ in range(operators or g.between(1, 8)):
        # Mostly the newest value, so that graphs get deep; else any, so that they branch.
        x = g.values[-1] if g.chance(0.6) else g.pick(g.values)
        candidates = tuple(ops)
        if len(x.shape) == 4:
            candidates = tuple(image_ops) * 2 + candidates
        if x.elements > _MAX_ELEMENTS:
            candidates = (mean, reshape, relu) if len(x.shape) != 4 else (max_pool_2d, mean)
        g.pick(candidates)(g, x)
    return g.graph()


def single_op_graph(
    rng: np.random.Generator,
    op: Op,
    image_ops: Sequence[Op] = IMAGE_OPS,
    graph: RandomGraph | None = None,
) -> Graph:
    """A graph of one input and one operator of a kind; the input is an image if it must be."""
    g = graph or RandomGraph(rng)
    x = g.source()
    while op in image_ops and len(x.shape) != 4:
        x = g.source()
    op(g, x)
    return g.graph()


def random_inputs(rng: np.random.Generator, graph: Graph) -> list[np.ndarray]:
    """One array of integers an input; sometimes only extreme values."""
    extreme = rng.random() < 0.2

    def values(tensor: Tensor) -> np.ndarray:
        dtype = tensor.type.dtype
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if extreme:
            return rng.choice(np.array([low, high], dtype), tensor.shape)
        return rng.integers(low, high + 1, tensor.shape).astype(dtype)

    return [values(tensor) for tensor in graph.input_tensors]


def random_graphs() -> st.SearchStrategy[tuple[int, Graph]]:
    """Hypothesis: (seed, graph); a failure names the seed."""
    seeds = st.integers(0, 2**32 - 1)
    return seeds.map(lambda seed: (seed, make_random_graph(np.random.default_rng(seed))))

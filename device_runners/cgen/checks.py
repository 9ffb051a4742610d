"""Constraints that several ops share. Each yields sentences that follow the operator's name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.tflite.graph import Activation, Tensor, TensorType
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.operation import OpContext
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN

ACCUMULATOR_LIMIT = 2**31 - 256
"""Accumulators stay below this, so that a zero point can be added without overflow."""

_ACTIVATIONS = (Activation.NONE, Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)


def describe(tensor: Tensor) -> str:
    """A tensor as messages name it."""
    return f"tensor {tensor.index} '{tensor.name}'"


def int8_tensor(tensor: Tensor | None, role: str) -> Iterator[str]:
    """An int8 tensor with one scale, a zero point in [-128, 127] and at least one element.

    A shape signature with a dynamic batch is fine: the file's shape is what an interpreter uses
    until somebody resizes its inputs.
    """
    yield from _integer_tensor(tensor, role, TensorType.INT8, (INT8_MIN, INT8_MAX))


def int16_tensor(tensor: Tensor | None, role: str) -> Iterator[str]:
    """An int16 tensor with one scale, the zero point 0 and at least one element."""
    yield from _integer_tensor(tensor, role, TensorType.INT16, (0, 0))


def _integer_tensor(
    tensor: Tensor | None, role: str, type_: TensorType, zero_points: tuple[int, int]
) -> Iterator[str]:
    if tensor is None:
        yield f"has no {role}"
        return
    if tensor.type is not type_:
        supported = f"{type_.lower()} is supported"
        yield f"has {role} of type {tensor.type} ({describe(tensor)}); {supported}"
        return
    if tensor.elements == 0:
        yield f"has {role} without elements ({describe(tensor)}, shape {list(tensor.shape)})"
    quantization = tensor.quantization
    if quantization is None or quantization.per_channel:
        yield f"has {role} without a scale of its own ({describe(tensor)})"
    elif not (math.isfinite(tensor.scale) and tensor.scale > 0):
        yield f"has {role} with the scale {tensor.scale} ({describe(tensor)})"
    elif not zero_points[0] <= tensor.zero_point <= zero_points[1]:
        yield f"has {role} with the zero point {tensor.zero_point} ({describe(tensor)})"


def int8_activations(context: OpContext, inputs: Sequence[int] = (0,)) -> Iterator[str]:
    """Int8 data operands and an int8 output."""
    for position in inputs:
        yield from int8_operand(context, position)
    yield from int8_tensor(context.output, "output")


def int16_activations(context: OpContext, inputs: Sequence[int] = (0,)) -> Iterator[str]:
    """Int16 data operands and an int16 output."""
    for position in inputs:
        yield from int16_operand(context, position)
    yield from int16_tensor(context.output, "output")


def activations(context: OpContext, inputs: Sequence[int] = (0,)) -> Iterator[str]:
    """Data operands and an output of one type, int8 or int16."""
    wide = context.output.type is TensorType.INT16
    yield from (int16_activations if wide else int8_activations)(context, inputs)


def int8_operand(context: OpContext, position: int) -> Iterator[str]:
    """An int8 data operand that has a value."""
    yield from int8_tensor(context.optional_input(position), f"input {position}")
    yield from _operand_with_a_value(context, position)


def int16_operand(context: OpContext, position: int) -> Iterator[str]:
    """An int16 data operand that has a value."""
    yield from int16_tensor(context.optional_input(position), f"input {position}")
    yield from _operand_with_a_value(context, position)


def _operand_with_a_value(context: OpContext, position: int) -> Iterator[str]:
    tensor = context.optional_input(position)
    if tensor is not None and not _has_a_value(context, tensor):
        yield f"reads {describe(tensor)}, which nothing computes (variables are not supported)"


def _has_a_value(context: OpContext, tensor: Tensor) -> bool:
    graph = context.graph
    producer = graph.producer(tensor.index)
    computed = producer is not None and producer.index < context.operator.index
    return tensor.is_constant or computed or tensor.index in graph.inputs


def options(context: OpContext, kind: type[Any]) -> Iterator[str]:
    """Options of the op's own kind."""
    if not isinstance(context.operator.options, kind):
        yield f"has no {kind.__name__}"


def activation(context: OpContext) -> Iterator[str]:
    """A fused activation that is a clamp."""
    fused = getattr(context.operator.options, "fused_activation_function", Activation.NONE)
    if fused not in _ACTIVATIONS:
        names = ", ".join(_ACTIVATIONS)
        yield f"has the fused activation {fused}; supported are {names}"


def positive_options(context: OpContext, *names: str) -> Iterator[str]:
    """Strides, dilations and window sizes of at least 1."""
    for name in names:
        value = getattr(context.operator.options, name)
        if value < 1:
            yield f"has {name} {value}; it must be at least 1"


def rank(tensor: Tensor, expected: int, role: str) -> Iterator[str]:
    """A number of dimensions."""
    if len(tensor.shape) != expected:
        yield f"has {role} of shape {list(tensor.shape)}; {expected} dimensions are needed"


def output_shape(context: OpContext, expected: Sequence[int]) -> Iterator[str]:
    """The output's shape as the op computes it, without empty dimensions."""
    if tuple(context.output.shape) != tuple(expected) or any(size < 1 for size in expected):
        yield f"has the output shape {list(context.output.shape)}, but computes {list(expected)}"


def same_quantization(first: Tensor, second: Tensor, what: str) -> Iterator[str]:
    """Equal scales and zero points, for ops that only move values."""
    if (first.scale, first.zero_point) != (second.scale, second.zero_point):
        yield (
            f"needs {what} in one quantization, but {describe(first)} has scale {first.scale:.9g}, "
            f"zero point {first.zero_point} and {describe(second)} has scale {second.scale:.9g}, "
            f"zero point {second.zero_point}"
        )


def constant(context: OpContext, position: int, role: str, *types: TensorType) -> Iterator[str]:
    """A constant operand of one of some types."""
    tensor = context.optional_input(position)
    if tensor is None:
        yield f"has no {role}"
    elif tensor.data is None:
        yield f"has {role} that are computed ({describe(tensor)}); constant ones are supported"
    elif tensor.type not in types:
        names = " or ".join(types)
        yield f"has {role} of type {tensor.type} ({describe(tensor)}); {names} is supported"


def weights(
    context: OpContext, dimensions: int, bias_type: TensorType = TensorType.INT32
) -> Iterator[str]:
    """Constant int8 weights with positive scales, and a bias of a type, if any."""
    yield from constant(context, 1, "weights", TensorType.INT8)
    tensor = context.optional_input(1)
    if tensor is not None:
        yield from rank(tensor, dimensions, "a weights tensor")
        if tensor.elements == 0:
            yield f"has weights without elements ({describe(tensor)}, shape {list(tensor.shape)})"
        quantization = tensor.quantization
        if quantization is None:
            yield f"has weights without a scale ({describe(tensor)})"
        elif not all(math.isfinite(scale) and scale >= 0 for scale in quantization.scales):
            yield f"has weights with a scale that is negative or not finite ({describe(tensor)})"
    bias = context.optional_input(2)
    if bias is not None:
        yield from constant(context, 2, "bias values", bias_type)


def symmetric_weights(context: OpContext, axis: int) -> Iterator[str]:
    """Weights with zero points 0, and with one scale or one for each output channel."""
    quantization = context.input(1).quantization
    if quantization is None:
        return
    if any(quantization.zero_points):
        yield "has weights with zero points other than 0"
    if quantization.per_channel and quantization.axis != axis:
        yield f"has weights quantized along dimension {quantization.axis}; {axis} is supported"


def bias_size(context: OpContext, channels: int) -> Iterator[str]:
    """As many bias values as output channels."""
    bias = context.optional_input(2)
    if bias is not None and bias.elements != channels:
        yield f"has {bias.elements} bias values for {channels} output channels"


def accumulator_bounds(
    channel_weights: npt.NDArray[Any], zero_point: int, bias: npt.NDArray[Any] | None
) -> npt.NDArray[np.int64]:
    """The largest magnitude that each channel's accumulator reaches, partial sums included.

    Args:
        channel_weights: (channels, depth), zero point already taken off.
        zero_point: The input's zero point.
        bias: (channels,) or None.

    Returns:
        (channels,) magnitudes.
    """
    w = channel_weights.astype(np.int64)
    lowest, highest = w * (INT8_MIN - zero_point), w * (INT8_MAX - zero_point)
    below = np.minimum(np.minimum(lowest, highest), 0).sum(axis=1)
    above = np.maximum(np.maximum(lowest, highest), 0).sum(axis=1)
    sums: npt.NDArray[np.int64] = np.maximum(above, -below)
    return sums if bias is None else sums + np.abs(bias.astype(np.int64))


def accumulators(bounds: npt.NDArray[np.int64], multipliers: Sequence[Multiplier]) -> Iterator[str]:
    """Accumulators that fit in 32 bits, also after a left shift."""
    for channel, (bound, multiplier) in enumerate(zip(bounds.tolist(), multipliers, strict=True)):
        if bound << max(multiplier.shift, 0) >= ACCUMULATOR_LIMIT:
            yield (
                f"can overflow a 32-bit accumulator in output channel {channel} "
                f"(it reaches {bound}, shifted left by {max(multiplier.shift, 0)})"
            )
            return

"""Parameter bytes of a compiled model, predicted: what the on-chip memory caches, what streams."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum

from converters.tflite.graph import Graph, Operator, Tensor

MIB = 1 << 20

RELATIVE_ERROR = 0.10
ABSOLUTE_ERROR_BYTES = 64 << 10
"""The stated error: 10 % and 64 KiB. The formulas came within 10 % on 147 of 158 models (within
5 % on 139, 1 % on 93); on small models fixed costs outweigh the percentage."""

CACHE_LOW_BYTES = 6 * MIB
CACHE_HIGH_BYTES = 8 * MIB
"""The cache is what the executable leaves of about 8 MiB: 6 to 7 MiB for most models."""

_ACCUMULATOR_BYTES = 8


class MemoryLevel(StrEnum):
    """How the parameters relate to the on-chip memory."""

    FITS = "fits"
    BORDERLINE = "borderline"
    STREAMS = "streams"


@dataclass(frozen=True)
class ParameterPrediction:
    """Parameter bytes of the operators on the Edge TPU; pairs are the lowest and highest value.

    Attributes:
        predicted: Bytes of parameters.
        range: The same with the stated error.
        cached: Bytes that the on-chip memory holds from inference to inference.
        streamed: Bytes that cross the bus for every inference.
        level: Whether that is a worry.
        error: What the ranges rest on.
    """

    predicted: int
    range: tuple[int, int]
    cached: tuple[int, int]
    streamed: tuple[int, int]
    level: MemoryLevel
    error: str


def operator_parameter_bytes(graph: Graph, operator: Operator) -> int:
    """Bytes that an operator's parameters take in the compiled package.

    Output channels are padded to 64 (16 of a dense layer), input channels to 4, and every output
    channel has 8 bytes more, of bias and scale (fitted to 158 compiled models). Constant operands
    of other operators count as they are.
    """
    inputs = graph.inputs_of(operator)
    weights = inputs[1] if len(inputs) > 1 else None
    opcode = operator.opcode
    if weights is not None and weights.is_constant:
        if opcode in {"CONV_2D", "TRANSPOSE_CONV"} and len(weights.shape) == 4:
            channels, height, width, depth = weights.shape
            return _padded(_ceil(channels, 64), height * width * _ceil(depth, 4))
        if opcode == "DEPTHWISE_CONV_2D" and len(weights.shape) == 4:
            _, height, width, channels = weights.shape
            return _padded(_ceil(channels, 64), height * width)
        if opcode == "FULLY_CONNECTED" and len(weights.shape) == 2:
            return _dense(weights)
    constants = [
        t for t in inputs if t is not None and t.is_constant and t.type.dtype.itemsize == 1
    ]
    if opcode == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        return sum(_dense(t) for t in constants if len(t.shape) == 2)
    return sum(t.bytes for t in constants)


def predict_parameters(graph: Graph, mapped: Set[int]) -> ParameterPrediction:
    """Predicts the parameter bytes of the operators (indices ``mapped``) on the Edge TPU."""
    total = sum(operator_parameter_bytes(graph, graph.operators[i]) for i in sorted(mapped))
    low, high = _with_error(total) if mapped else (0, 0)
    level = MemoryLevel.BORDERLINE
    if high <= CACHE_LOW_BYTES:
        level = MemoryLevel.FITS
    elif low > CACHE_HIGH_BYTES:
        level = MemoryLevel.STREAMS
    return ParameterPrediction(
        predicted=total,
        range=(low, high),
        cached=(min(low, CACHE_LOW_BYTES), min(high, CACHE_HIGH_BYTES)),
        streamed=(max(0, low - CACHE_HIGH_BYTES), max(0, high - CACHE_LOW_BYTES)),
        level=level,
        error=(
            f"+-{RELATIVE_ERROR:.0%} and {ABSOLUTE_ERROR_BYTES >> 10} KiB (formulas fitted to "
            "compiled models: within 10% on 147 of 158); "
            f"the cache holds {CACHE_LOW_BYTES // MIB} to {CACHE_HIGH_BYTES // MIB} MiB, "
            "depending on the executable's size"
        ),
    )


def _with_error(total: int) -> tuple[int, int]:
    low = total / (1 + RELATIVE_ERROR) - ABSOLUTE_ERROR_BYTES
    high = total * (1 + RELATIVE_ERROR) + ABSOLUTE_ERROR_BYTES
    return max(0, math.floor(low)), math.ceil(high)


def _dense(weights: Tensor) -> int:
    units, depth = weights.shape
    return _padded(_ceil(units, 16), _ceil(depth, 4))


def _padded(channels: int, each: int) -> int:
    return channels * (each + _ACCUMULATOR_BYTES)


def _ceil(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple

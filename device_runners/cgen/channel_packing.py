"""Output channels for the kernels without extensions: ``tidepool_channels``.

Zero points are folded into what a sum starts with, and the reference's two roundings become one
64-bit multiplication and one shift where every sum of the layer allows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.convolution import activation_of, bias_values
from device_runners.cgen.operation import ConstantArray, OpContext, Symbol
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN, activation_range

FOUR = 4
"""Channels whose weights lie tap by tap."""

_SUM_LIMIT = 1 << 30
_INT32_LIMIT = 1 << 31


@dataclass(frozen=True, eq=False)
class PackedChannels:
    """The fields of ``tidepool_channels``, and their arrays."""

    params: dict[str, object]
    arrays: tuple[ConstantArray, ...]


@dataclass(frozen=True, eq=False)
class _Channel:
    """A channel's factor in the short form; ``constant`` if its output never changes, for which its
    sum has to be 0."""

    factor: tuple[int, int, int]
    constant: bool = False


def pack_channels(
    context: OpContext,
    taps: Array,
    multipliers: Sequence[Multiplier],
    *,
    order: Sequence[int],
    input_offset: int = 0,
    weights_zero_point: int = 0,
) -> PackedChannels:
    """Packs the channels of CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED.

    Args:
        context: The operator.
        taps: (channels, taps) int8.
        multipliers: One a channel.
        order: How many channels lie tap by tap, one after the other: 4 or 1, their sum all.
        input_offset: What the kernel adds to the input.
        weights_zero_point: The kernel itself takes it off.
    """
    zero_point, clamp = context.output.zero_point, _clamp(context)
    centered = taps.astype(np.int64) - weights_zero_point
    bias = bias_values(context)
    input_zero_point = context.input(0).zero_point
    starts = np.zeros(len(taps), np.int64) if bias is None else bias.astype(np.int64)
    ends = [centered * (end - input_zero_point) for end in (INT8_MIN, INT8_MAX)]
    lows = (starts + np.minimum(*ends).sum(axis=1)).tolist()
    highs = (starts + np.maximum(*ends).sum(axis=1)).tolist()
    starts = starts - (input_zero_point + input_offset) * centered.sum(axis=1)
    short = [
        _short_form(multiplier, low, high, zero_point)
        for multiplier, low, high in zip(multipliers, lows, highs, strict=True)
    ]
    weights = taps
    if general := None in short or (weights_zero_point != 0 and _any_constant(short)):
        factors = [(m.value, zero_point, m.shift) for m in multipliers]
    else:
        channels = [channel for channel in short if channel is not None]
        live = np.array([not channel.constant for channel in channels])
        weights, starts = taps * live[:, None].astype(np.int8), starts * live
        factors = [channel.factor for channel in channels]
    shared = len(set(factors)) == 1
    arrays = (
        ConstantArray(
            context.name("weights"),
            "int8_t",
            _by_fours(weights, order),
            f"{context.input(1).name}, packed",
        ),
        ConstantArray(context.name("starts"), "int32_t", _int32(starts)),
        ConstantArray(
            context.name("factors"), "int32_t", np.array(factors[:1] if shared else factors)
        ),
    )
    params: dict[str, object] = {
        "output_min": clamp[0],
        "output_max": clamp[1],
        "general": int(general),
        "factor_step": 0 if shared else 3,
        "weights": Symbol(arrays[0].name),
        "starts": Symbol(arrays[1].name),
        "factors": Symbol(arrays[2].name),
    }
    return PackedChannels(params, arrays)


def fours_and_rest(channels: int) -> list[int]:
    """The order of channels by fours, those that are left one by one."""
    return [FOUR] * (channels // FOUR) + [1] * (channels % FOUR)


def _clamp(context: OpContext) -> tuple[int, int]:
    return activation_range(context.output, activation_of(context))


def _any_constant(channels: Sequence[_Channel | None]) -> bool:
    return any(channel is not None and channel.constant for channel in channels)


def _short_form(multiplier: Multiplier, low: int, high: int, zero_point: int) -> _Channel | None:
    """The factor ``(2 m - 2**32, 2**(right - 1) + (zero point << right), right)``, or None.

    Args:
        multiplier: The channel's.
        low: The least of its sums.
        high: The largest.
        zero_point: The output's.
    """
    right = -multiplier.shift
    if right >= 1 and multiplier.value and -_SUM_LIMIT <= low <= high <= _SUM_LIMIT:
        addend = (1 << (right - 1)) + (zero_point << right)
        products = [Multiplier(multiplier.value, 0).apply(x) for x in (low, high)]
        fits = [-_INT32_LIMIT < addend + product < _INT32_LIMIT for product in (0, *products)]
        if all(fits):
            return _Channel((2 * multiplier.value - 2**32, addend, right))
    ends = {_clamped(multiplier.apply(x) + zero_point) for x in (low, high)}
    if len(ends) > 1:
        return None
    return _Channel((INT8_MIN << 24, ends.pop(), 0), constant=True)


def _clamped(value: int) -> int:
    return min(max(value, INT8_MIN), INT8_MAX)


def _by_fours(taps: Array, order: Sequence[int]) -> Array:
    parts, first = [], 0
    for count in order:
        parts.append(taps[first : first + count].T.ravel())
        first += count
    packed: Array = np.concatenate(parts)
    return packed


def _int32(values: Array) -> Array:
    """Modulo 2**32."""
    result: Array = (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return result

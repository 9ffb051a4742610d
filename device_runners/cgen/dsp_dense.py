"""The kernels of level ``dsp`` for dense layers: packing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.choice import Packed
from device_runners.cgen.convolution import activation_of, bias_values, rows_as_window
from device_runners.cgen.dsp_convolution import EIGHT_BITS, Kernel, three_pixels
from device_runners.cgen.dsp_nibbles import NibblePair, four_channel_words, nibble_pairs
from device_runners.cgen.dsp_pairs import Channel, Pair, channels, pairs
from device_runners.cgen.operation import ConstantArray, KernelCall, OpContext, Symbol
from device_runners.cgen.requantization import activation_range

# Of fully_connected_dsp.c
_PART = 128
_GROUPS = 16
_UNIT = 8

_ROWS_FOR_THREE_PIXELS = 3

_Pair = TypeVar("_Pair", Pair, NibblePair)


def dense_as_three_pixels(
    context: OpContext,
    multipliers: Sequence[Multiplier],
    kernels: Sequence[Kernel] = EIGHT_BITS,
) -> Packed | None:
    """A call of a convolution's kernel for any number of rows: each is a pixel.

    Args:
        context: The operator.
        multipliers: One a channel.
        kernels: Those to try.

    Returns:
        The call, or None if a channel can't be proven exact.
    """
    count, taps = context.data(1).shape
    window = rows_as_window(context.input(0).elements // taps, taps, count)
    weights = context.data(1)
    return three_pixels(context, window, weights, multipliers, False, kernels)


def dense_dsp(context: OpContext, multipliers: Sequence[Multiplier]) -> Packed | None:
    """A call for a FULLY_CONNECTED whose weights have the zero point 0.

    Three rows and more are a convolution of 1x1, whose weights are read once for three rows.

    Args:
        context: The operator.
        multipliers: One a channel.

    Returns:
        The call, or None if a channel can't be proven exact.
    """
    found = _channels(context, multipliers)
    if found is None:
        return None
    packed = pairs(found, fixed=False)
    groups = [
        _Group(
            np.concatenate([pair.start for pair in group]),
            np.concatenate([pair.weights.reshape(-1, 2) for pair in group], axis=1),
            np.concatenate([pair.record for pair in group]),
        )
        for group in _by_twos(packed)
    ]
    return _call(context, "fully_connected_dsp", groups)


def dense_int4_dsp(context: OpContext, multipliers: Sequence[Multiplier]) -> Packed | None:
    """The same for weights from -8 to 7, which stay in four bits."""
    found = _channels(context, multipliers)
    packed = None if found is None else nibble_pairs(found, scale_bits=0, fixed=False)
    if packed is None:
        return None
    groups = [
        _Group(
            np.concatenate([pair.start for pair in group]),
            four_channel_words(group).reshape(-1, 2),
            np.concatenate([pair.record for pair in group]),
        )
        for group in _by_twos(packed)
    ]
    return _call(context, "fully_connected_int4_dsp", groups)


@dataclass(frozen=True, eq=False)
class _Group:
    """Four channels as the kernel reads them: int32 words.

    Attributes:
        start: (4,) what their sums start from.
        weights: (depth / 4, n): those of four taps, taps rounded up to a multiple of eight.
        records: (12,).
    """

    start: Array
    weights: Array
    records: Array


def _by_twos(packed: Sequence[_Pair]) -> list[tuple[_Pair, _Pair]]:
    """An odd one at the end is computed twice."""
    return [(packed[i], packed[min(i + 1, len(packed) - 1)]) for i in range(0, len(packed), 2)]


def _channels(context: OpContext, multipliers: Sequence[Multiplier]) -> list[Channel] | None:
    """None as well for rows that are a convolution."""
    weights = context.data(1)
    taps = weights.shape[1]
    if context.input(0).elements // taps >= _ROWS_FOR_THREE_PIXELS:
        return None
    depth = -(-taps // _UNIT) * _UNIT
    clamp = activation_range(context.output, activation_of(context))
    zero_points = context.input(0).zero_point, context.output.zero_point
    return channels(weights, bias_values(context), multipliers, zero_points, clamp, depth)


def _call(context: OpContext, kernel: str, groups: Sequence[_Group]) -> Packed:
    count, taps = context.data(1).shape
    clamp = activation_range(context.output, activation_of(context))
    records = [group.records for group in groups]
    shared = count % 4 == 0 and _differ_by_position(records)
    stream = ConstantArray(
        context.name("stream"), "int32_t", _stream(groups), f"{context.input(1).name}, packed"
    )
    table = ConstantArray(
        context.name("records"), "int32_t", np.concatenate(records[:1] if shared else records)
    )
    params = {
        "batches": context.input(0).elements // taps,
        "input_depth": taps,
        "output_depth": count,
        "output_min": clamp[0],
        "output_max": clamp[1],
        "groups": len(groups),
        "shared_records": int(shared),
        "stream": Symbol(stream.name),
        "records": Symbol(table.name),
    }
    params_type = "tidepool_fully_connected_dsp_params"
    call = KernelCall(f"tidepool_{kernel}", params_type, params, (context.input(0).index,))
    return Packed(call, (stream, table), 0)


def _differ_by_position(records: Sequence[Array]) -> bool:
    """Whether all records are those of the first group, their positions counted on."""
    first = records[0].astype(np.int64)
    return all(
        np.array_equal(group - first, np.tile([0, 0, 4 * number * 256], 4))
        for number, group in enumerate(records)
    )


def _stream(groups: Sequence[_Group]) -> Array:
    words: list[Array] = []
    rows = len(groups[0].weights)
    for block in (groups[i : i + _GROUPS] for i in range(0, len(groups), _GROUPS)):
        words += [group.start for group in block]
        for begin in range(0, rows, _PART // 4):
            words += [group.weights[begin : begin + _PART // 4].ravel() for group in block]
    return np.concatenate(words)

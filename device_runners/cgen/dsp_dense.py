"""The kernels of level ``dsp`` for dense layers: packing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.choice import Packed
from device_runners.cgen.convolution import activation_of, bias_values, rows_as_window
from device_runners.cgen.dsp_convolution import EIGHT_BITS, Kernel, three_pixels
from device_runners.cgen.dsp_pairs import Pair, channels, pairs
from device_runners.cgen.operation import ConstantArray, KernelCall, OpContext, Symbol
from device_runners.cgen.requantization import activation_range

# Of fully_connected_dsp.c
_PART = 128
_GROUPS = 16
_UNIT = 8

_ROWS_FOR_THREE_PIXELS = 3


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
    weights = context.data(1)
    count, taps = weights.shape
    batches = context.input(0).elements // taps
    if batches >= _ROWS_FOR_THREE_PIXELS:
        return None
    depth = -(-taps // _UNIT) * _UNIT
    clamp = activation_range(context.output, activation_of(context))
    zero_points = context.input(0).zero_point, context.output.zero_point
    found = channels(weights, bias_values(context), multipliers, zero_points, clamp, depth)
    if found is None:
        return None
    packed = pairs(found, fixed=False)
    if len(packed) % 2:
        packed.append(packed[-1])  # computed twice
    records = [pair.record for pair in packed]
    shared = count % 4 == 0 and _differ_by_position(records)
    stream = ConstantArray(
        context.name("stream"),
        "int32_t",
        _stream(packed, depth),
        f"{context.input(1).name}, packed",
    )
    table = ConstantArray(
        context.name("records"), "int32_t", np.concatenate(records[:2] if shared else records)
    )
    params = {
        "batches": batches,
        "input_depth": taps,
        "output_depth": count,
        "output_min": clamp[0],
        "output_max": clamp[1],
        "groups": len(packed) // 2,
        "shared_records": int(shared),
        "stream": Symbol(stream.name),
        "records": Symbol(table.name),
    }
    name = "tidepool_fully_connected_dsp"
    call = KernelCall(name, f"{name}_params", params, (context.input(0).index,))
    return Packed(call, (stream, table), 0)


def _differ_by_position(records: Sequence[Array]) -> bool:
    """Whether all records are those of the first group, their positions counted on."""
    first = np.concatenate(records[:2]).astype(np.int64)
    for group in range(len(records) // 2):
        steps = np.concatenate(records[2 * group : 2 * group + 2]) - first
        if not np.array_equal(steps, np.tile([0, 0, 4 * group * 256], 4)):
            return False
    return True


def _stream(packed: Sequence[Pair], depth: int) -> Array:
    words: list[Array] = []
    groups = [packed[i : i + 2] for i in range(0, len(packed), 2)]
    for block in (groups[i : i + _GROUPS] for i in range(0, len(groups), _GROUPS)):
        words += [pair.start for group in block for pair in group]
        for begin in range(0, depth, _PART):
            end = min(begin + _PART, depth)
            for group in block:
                part = [pair.weights[begin // 2 : end // 2].reshape(-1, 2) for pair in group]
                words.append(np.concatenate(part, axis=1).ravel())
    return np.concatenate(words)

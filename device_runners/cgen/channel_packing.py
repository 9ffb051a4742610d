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

_FOUR = 4  # channels of a quad
_QUADS_ZERO_POINT = 128
_NIBBLES_ZERO_POINT = 8
_SUM_LIMIT = 1 << 30
_INT32_LIMIT = 1 << 31


@dataclass(frozen=True, eq=False)
class PackedChannels:
    """The fields of ``tidepool_channels`` and their arrays, and the weights that go with them.

    Attributes:
        params: Field -> value.
        arrays: What the fields refer to.
        taps: (channels, taps) int8 weights: the layer's, but for channels that never change.
        name: A name for them; layers with the same weights give the same.
        comment: Where they are from.
    """

    params: dict[str, object]
    arrays: tuple[ConstantArray, ...]
    taps: Array
    name: str
    comment: str

    def weights(self) -> ConstantArray:
        """The weights channel by channel."""
        return ConstantArray(self.name, "int8_t", self.taps.ravel(), self.comment)

    def quads(
        self, filters: int, four_bits: bool = False
    ) -> tuple[dict[str, object], tuple[ConstantArray, ...]]:
        """The fields ``quads`` and ``rest`` of ``tidepool_quads.h`` and their arrays.

        Args:
            filters: Channels of a group.
            four_bits: Whether those of whole fours are nibbles, as in ``tidepool_nibbles.h``.
        """
        pack, infix = (_nibbles, "_int4") if four_bits else (_quads, "")
        groups = self.taps.reshape(-1, filters, self.taps.shape[1])
        whole = filters // _FOUR * _FOUR
        parts = (
            ("quads", "uint32_t", pack(groups[:, :whole])),
            ("rest", "int8_t", groups[:, whole:].ravel()),
        )
        fields: dict[str, object] = {}
        arrays = []
        for field, c_type, values in parts:
            name = f"{self.name}{infix}_{field}_{filters}"
            fields[field] = Symbol(name if values.size else "NULL")
            if values.size:
                arrays.append(ConstantArray(name, c_type, values, f"{self.comment}, packed"))
        return fields, tuple(arrays)


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
    input_offset: int = 0,
    weights_zero_point: int = 0,
) -> PackedChannels:
    """Packs the channels of CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED.

    Args:
        context: The operator.
        taps: (channels, taps) int8.
        multipliers: One a channel.
        input_offset: What the kernel adds to the input.
        weights_zero_point: The kernel itself takes it off.
    """
    centered = taps.astype(np.int64) - weights_zero_point
    bias = bias_values(context)
    starts = np.zeros(len(taps), np.int64) if bias is None else bias.astype(np.int64)
    short = _short_forms(context, centered, starts, multipliers)
    starts = starts - (context.input(0).zero_point + input_offset) * centered.sum(axis=1)
    weights, name = taps, f"t{context.input(1).index}_weights"
    constant = np.array([channel.constant for channel in short or ()], bool)
    # Weights of 0 would not give sums of 0 if a zero point came off.
    if general := short is None or bool(weights_zero_point and constant.any()):
        factors = [(m.value, context.output.zero_point, m.shift) for m in multipliers]
    else:
        factors = [channel.factor for channel in short or ()]
        if constant.any():
            weights, name = np.where(constant[:, None], 0, taps), context.name("weights")
            starts = np.where(constant, 0, starts)
    shared = len(set(factors)) == 1
    arrays = (
        ConstantArray(context.name("starts"), "int32_t", _int32(starts)),
        ConstantArray(
            context.name("factors"), "int32_t", np.array(factors[:1] if shared else factors)
        ),
    )
    low, high = activation_range(context.output, activation_of(context))
    params: dict[str, object] = {
        "output_min": low,
        "output_max": high,
        "general": int(general),
        "factor_step": 0 if shared else 3,
        "starts": Symbol(arrays[0].name),
        "factors": Symbol(arrays[1].name),
    }
    return PackedChannels(params, arrays, weights, name, context.input(1).name)


def _short_forms(
    context: OpContext, centered: Array, bias: Array, multipliers: Sequence[Multiplier]
) -> list[_Channel] | None:
    """The short form of each channel, or None if one of them has none.

    Args:
        context: The operator.
        centered: (channels, taps) int64, without zero point.
        bias: (channels,) int64.
        multipliers: One a channel.
    """
    ends = [centered * (end - context.input(0).zero_point) for end in (INT8_MIN, INT8_MAX)]
    lows = (bias + np.minimum(*ends).sum(axis=1)).tolist()
    highs = (bias + np.maximum(*ends).sum(axis=1)).tolist()
    found = []
    for multiplier, low, high in zip(multipliers, lows, highs, strict=True):
        channel = _short_form(multiplier, low, high, context.output.zero_point)
        if channel is None:
            return None
        found.append(channel)
    return found


def factor_of(
    multiplier: Multiplier, low: int, high: int, zero_point: int
) -> tuple[int, tuple[int, int, int]]:
    """(general, factor) as in ``tidepool_channels``, for sums from ``low`` to ``high``."""
    short = _short_form(multiplier, low, high, zero_point)
    if short is None or short.constant:
        return 1, (multiplier.value, zero_point, multiplier.shift)
    return 0, short.factor


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


def _quads(groups: Array) -> Array:
    """(groups, 4 n, taps) int8 -> (groups * n * taps,) uint32."""
    fours = groups.reshape(len(groups), -1, _FOUR, groups.shape[2]).swapaxes(2, 3)
    unsigned = (fours.astype(np.int16) + _QUADS_ZERO_POINT).astype(np.uint8)
    words: Array = np.ascontiguousarray(unsigned).view("<u4").ravel()
    return words


def _nibbles(groups: Array) -> Array:
    """(groups, 4 n, taps) from -8 to 7 -> (groups * n * taps / 2,) uint32, taps rounded up."""
    unsigned = groups.astype(np.uint32) + _NIBBLES_ZERO_POINT
    padded = np.pad(unsigned, ((0, 0), (0, 0), (0, groups.shape[2] % 2)))
    fours = padded.reshape(len(groups), -1, _FOUR, padded.shape[2] // 2, 2)
    shifts = np.array([0, 8, 16, 24], np.uint32)[:, None, None] + np.array([0, 4], np.uint32)
    words: Array = (fours << shifts).sum(axis=(2, 4), dtype=np.uint32).ravel()
    return words


def _int32(values: Array) -> Array:
    """Modulo 2**32."""
    result: Array = (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return result

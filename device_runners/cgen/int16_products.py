"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of int16 inputs and int8 weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.tflite.graph import Array, TensorType
from converters.tflite.multiplier import Multiplier
from device_runners.cgen import checks
from device_runners.cgen.convolution import activation_of, bias_values
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.int16 import REASON, sum_multiplier
from device_runners.cgen.operation import ConstantArray, Emission, KernelCall, OpContext, Symbol
from device_runners.cgen.requantization import INT16_MIN, activation_range

_LARGEST_INPUT = -INT16_MIN
SAFE_PRODUCTS = 511
"""``TIDEPOOL_SAFE_PRODUCTS``: so many products of an int16 and an int8 value fit in 32 bits."""
_SUM_LIMIT = 1 << 47
"""Sums stay below this in the reference, so that 15 more bits fit in 64."""
_SHIFT_LIMIT = 7


def check_products(context: OpContext, options: type[Any], dimensions: int) -> Iterator[str]:
    """Int16 activations, constant int8 weights, and a 64-bit bias, if any."""
    yield from checks.int16_activations(context)
    yield from checks.options(context, options)
    yield from checks.weights(context, dimensions, TensorType.INT64)
    bias_type = getattr(context.operator.options, "quantized_bias_type", TensorType.FLOAT32)
    # FLOAT32 stands for "not said".
    if bias_type not in (TensorType.FLOAT32, TensorType.INT64):
        yield f"accumulates in {bias_type}; INT64 is supported for int16 activations"


def check_sums(
    context: OpContext, channel_weights: Array, multipliers: Sequence[Multiplier]
) -> Iterator[str]:
    """Sums of 48 bits, and results of 32 before they are clamped.

    Args:
        context: The operator.
        channel_weights: (channels, depth), zero point already taken off.
        multipliers: The requantization of each channel.
    """
    bounds = sum_bounds(context, channel_weights)
    for channel, (bound, multiplier) in enumerate(zip(bounds, multipliers, strict=True)):
        if multiplier.shift > _SHIFT_LIMIT:
            yield (
                f"has the output scale {context.output.scale:.9g}, over 2^{_SHIFT_LIMIT} times "
                f"finer than its sums in output channel {channel}"
            )
            return
        if bound >= _SUM_LIMIT or sum_multiplier(multiplier).apply(bound) >= 2**31:
            yield f"can overflow its sums in output channel {channel} (they reach {bound})"
            return


def sum_bounds(context: OpContext, channel_weights: Array) -> list[int]:
    """The largest magnitude of each channel's sum, bias included.

    Args:
        context: The operator.
        channel_weights: (channels, depth), zero point already taken off.
    """
    magnitudes = np.abs(channel_weights.astype(np.int64)).sum(axis=1) * _LARGEST_INPUT
    bias = bias_values(context)
    offsets = [0] * len(magnitudes) if bias is None else [abs(int(value)) for value in bias]
    return [int(bound) + offset for bound, offset in zip(magnitudes, offsets, strict=True)]


@dataclass(frozen=True)
class Products:
    """How an operator computes its sums.

    Attributes:
        is_wide: Whether in 64 bits, by the kernel ``*_int16_wide``; else in 32, by ``*_int16``.
        fields: ``weights``, ``bias``, ``multipliers`` and, if wide, ``shifts``.
        arrays: The arrays that they name.
        reason: Why that kernel.
    """

    is_wide: bool
    fields: dict[str, object]
    arrays: tuple[ConstantArray, ...]
    reason: str


def products(
    context: OpContext,
    channel_weights: Array,
    multipliers: Sequence[Multiplier],
    *,
    symmetric: bool = True,
) -> Products:
    """The narrow form where every sum fits in 32 bits and every factor in a shift of 32.

    Args:
        context: The operator.
        channel_weights: (channels, depth), zero point already taken off.
        multipliers: One for each channel, or one for all.
        symmetric: Whether the weights' zero point is 0, as the narrow form needs it.
    """
    words = [sum_multiplier(multiplier).in_words for multiplier in multipliers]
    fits = max(sum_bounds(context, channel_weights)) < 2**31
    if fits and symmetric and None not in words:
        bias = _bias(context).astype(np.int32)
        columns = [("bias", "int32_t", bias), ("multipliers", "int32_t", words)]
        return Products(False, *_named(context, columns), f"{REASON}: every sum fits in 32 bits")
    arrays = wide_arrays(context, multipliers)
    return Products(True, *arrays, f"{REASON}: sums or factors of any size")


def wide_arrays(
    context: OpContext, multipliers: Sequence[Multiplier]
) -> tuple[dict[str, object], tuple[ConstantArray, ...]]:
    """The fields of a kernel with sums of 64 bits, and their arrays."""
    factors = [sum_multiplier(multiplier) for multiplier in multipliers]
    columns = [
        ("bias", "int64_t", _bias(context)),
        ("multipliers", "int16_t", [factor.value for factor in factors]),
        ("shifts", "int8_t", [factor.shift for factor in factors]),
    ]
    return _named(context, columns)


def _bias(context: OpContext) -> Array:
    """(channels,) int64, zeros where there is none."""
    values = bias_values(context)
    channels = context.output.shape[-1]
    return np.zeros(channels, np.int64) if values is None else values


def _named(
    context: OpContext, columns: Sequence[tuple[str, str, Any]]
) -> tuple[dict[str, object], tuple[ConstantArray, ...]]:
    weights = context.input(1)
    arrays = [ConstantArray(f"t{weights.index}_weights", "int8_t", context.data(1), weights.name)]
    fields: dict[str, object] = {"weights": Symbol(arrays[0].name)}
    for name, c_type, values in columns:
        arrays.append(ConstantArray(context.name(name), c_type, np.asarray(values)))
        fields[name] = Symbol(arrays[-1].name)
    return fields, tuple(arrays)


def activation_fields(context: OpContext) -> dict[str, int]:
    """The fields ``output_min`` and ``output_max``: the fused activation's clamp."""
    low, high = activation_range(context.output, activation_of(context))
    return {"output_min": low, "output_max": high}


def product_emission(
    context: OpContext,
    kernel: str,
    chosen: Products,
    params: dict[str, object],
    summary: str,
    macs: int,
) -> Emission:
    """A call of the kernel's form for int16.

    Args:
        context: The operator.
        kernel: The kernel for int8 of the op, without ``.c``.
        chosen: How it computes its sums.
        params: The parameters, in the order of the struct.
        summary: What the layer computes.
        macs: Its multiply-accumulates.
    """
    name = f"{kernel}_int16" + ("_wide" if chosen.is_wide else "")
    call = KernelCall(
        f"tidepool_{name}",
        f"tidepool_{name}_params",
        params,
        (context.input(0).index,),
        element_bytes=2,
    )
    return Emission(
        kernel=name,
        calls=(call,),
        summary=summary,
        constants=(*chosen.arrays, *operand_arrays(context, 0)),
        macs=macs,
        reason=chosen.reason,
    )

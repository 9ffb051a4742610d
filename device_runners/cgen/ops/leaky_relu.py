"""LEAKY_RELU with a slope that is not negative: a table of 256 results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import LeakyReluOptions
from device_runners.cgen import checks, int16_elementwise
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.operation import Emission, OpContext
from device_runners.cgen.rescaling import RESCALE_SHIFT_LIMIT
from device_runners.cgen.tables import differences, table_operation


def _alpha(context: OpContext) -> float:
    options = context.operator.options
    return options.alpha if isinstance(options, LeakyReluOptions) else 0.0


def _multipliers(context: OpContext) -> tuple[Multiplier, Multiplier]:
    """For positive and for negative inputs; the reference multiplies and divides in float32."""
    source, output = np.float32(context.input(0).scale), np.float32(context.output.scale)
    return (
        quantize_multiplier(float(source / output)),
        quantize_multiplier(float(source * np.float32(_alpha(context)) / output)),
    )


def _table(context: OpContext) -> Array:
    positive, negative = _multipliers(context)
    values = [(positive if x >= 0 else negative).apply(x) for x in differences(context).tolist()]
    return np.array(values) + context.output.zero_point


def _check(context: OpContext) -> Iterator[str]:
    yield from checks.options(context, LeakyReluOptions)
    alpha = _alpha(context)
    if not 0 <= alpha < np.inf:
        yield f"has the slope {alpha:.9g}; slopes from 0 are supported"
    elif any(multiplier.shift > RESCALE_SHIFT_LIMIT for multiplier in _multipliers(context)):
        yield f"scales by more than 2^{RESCALE_SHIFT_LIMIT}"


def _check_int16(context: OpContext) -> Iterator[str]:
    yield from checks.output_shape(context, context.input(0).shape)
    yield from checks.options(context, LeakyReluOptions)
    alpha = _alpha(context)
    if not 0 <= alpha < np.inf:
        yield f"has the slope {alpha:.9g}; slopes from 0 are supported"
    elif any(m.shift > int16_elementwise.RESCALE_SHIFT_LIMIT for m in _multipliers(context)):
        yield f"scales by more than 2^{int16_elementwise.RESCALE_SHIFT_LIMIT}"


def _emit_int16(context: OpContext) -> Emission:
    positive, negative = _multipliers(context)
    params: dict[str, object] = {
        "count": context.output.elements,
        "multiplier_1": positive.value,
        "shift_1": positive.shift,
        "multiplier_2": negative.value,
        "shift_2": negative.shift,
    }
    return int16_elementwise.unary_int16_call(
        context, "leaky_relu_int16", "tidepool_leaky_relu_int16_params", params
    )


OP = with_int16(
    table_operation("LEAKY_RELU", 2, _table, _check),
    int16_elementwise.unary_check(_check_int16),
    _emit_int16,
)

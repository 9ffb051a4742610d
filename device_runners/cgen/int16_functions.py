"""LOGISTIC, TANH and SOFTMAX of int16 tensors: tables with linear interpolation.

The tables hold a function at equal distances. Halfway between two entries a line through the exact
values is off by the most; each entry is moved by half of that error, so that it is spread evenly.
Formula: ``LUTPopulate`` for 16 bits of TFLite, and what its ``sigmoid_table_uint16`` holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import SoftmaxOptions
from device_runners.cgen import checks
from device_runners.cgen.int16 import check_power, power_of_two
from device_runners.cgen.int16_elementwise import unary_check, unary_int16_call
from device_runners.cgen.operation import ConstantArray, Emission, OpContext, Symbol
from device_runners.cgen.requantization import INT16_MAX, INT16_MIN

_OUTPUT_SCALE = 1 / 32768
_SIGMOID_STEPS = 24
"""Entries of the table for an argument of 1."""
_ARGUMENT_SCALE = 3 * 4096.0
"""The kernels' argument of LOGISTIC for an input of 1."""
_LARGEST_MULTIPLIER = 32767
_EXP_RANGE = 10.0
_PIECES = 512
_MAX_DEPTH = 65535
"""The sum of so many exponentials of at most 32767 fits in 31 bits."""
_DIFFERENCE_SHIFT_LIMIT = 14


def _rounded(x: float) -> int:
    """Ties away from zero."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


# ---- LOGISTIC and TANH ------------------------------------------------------------------------


def sigmoid_table() -> Array:
    """(256,) uint16: 65536 * logistic(i / 24), moved by half of the interpolation's error; the
    limit at the end."""

    def value(i: float) -> float:
        return 65536 / (1 + math.exp(-i / _SIGMOID_STEPS))

    entries = []
    for i in range(255):
        error = (value(i) + value(i + 1)) / 2 - value(i + 0.5)
        entries.append(_rounded(value(i) - error / 2))
    entries.append(65535)  # the limit
    return np.array(entries, np.uint16)


def sigmoid_factor(scale: float, powers: tuple[int, ...]) -> tuple[int, int]:
    """The integer factor and right shift from an input to a kernel's argument.

    Args:
        scale: The input's.
        powers: For which n a scale of 2^(n - 12) is taken as it is; rounded otherwise.
    """
    power = power_of_two(scale)
    if power is not None and power + 12 in powers:
        return 3 << (power + 12), 0
    multiplier, shift = scale * _ARGUMENT_SCALE, 0
    while multiplier <= _LARGEST_MULTIPLIER / 2 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    return int(multiplier), shift


_POWERS = {"LOGISTIC": (0,), "TANH": (0, 1)}


def _check_sigmoid(context: OpContext) -> Iterator[str]:
    yield from checks.output_shape(context, context.input(0).shape)
    yield from _output_scale(context)
    yield from check_power(context.input(0))
    factor, _ = sigmoid_factor(context.input(0).scale, _POWERS[context.operator.opcode])
    if factor > _LARGEST_MULTIPLIER:
        yield f"has the input scale {context.input(0).scale:.9g}; up to 2.66 is supported"


def _output_scale(context: OpContext) -> Iterator[str]:
    if context.output.scale != _OUTPUT_SCALE:
        yield f"has the output scale {context.output.scale:.9g}; it must be 1/32768"


def emit_sigmoid(context: OpContext) -> Emission:
    """A call of ``tidepool_logistic_int16`` or ``tidepool_tanh_int16``."""
    opcode = context.operator.opcode
    factor, shift = sigmoid_factor(context.input(0).scale, _POWERS[opcode])
    table = ConstantArray("int16_sigmoids", "uint16_t", sigmoid_table())
    params: dict[str, object] = {
        "count": context.output.elements,
        "multiplier": factor,
        "shift": shift,
        "table": Symbol(table.name),
    }
    kernel = f"{opcode.lower()}_int16"
    return unary_int16_call(context, kernel, "tidepool_sigmoid_int16_params", params, (table,))


check_sigmoid = unary_check(_check_sigmoid)


# ---- SOFTMAX ----------------------------------------------------------------------------------


def interpolation_table(function: Callable[[float], float], low: float, high: float) -> Array:
    """(513,) int16: 32768 times a function at equal distances from ``low`` to ``high``."""
    step = (high - low) / _PIECES

    def value(i: float) -> float:
        return function(low + i * step) * 32768

    entries = []
    for i in range(_PIECES):
        entry = _rounded(value(i))
        error = _rounded((value(i + 1) + entry) / 2) - _rounded(value(i + 0.5))
        entries.append(entry - _rounded(error / 2))
    entries.append(_rounded(value(_PIECES)))
    return np.clip(entries, INT16_MIN, INT16_MAX).astype(np.int16)


def _difference_factor(context: OpContext) -> Multiplier:
    """From a difference of inputs to 1/65535 of the exponential's range."""
    options = context.operator.options
    beta = options.beta if isinstance(options, SoftmaxOptions) else 1.0
    # The reference multiplies these two in float32.
    scale = float(np.float32(context.input(0).scale) * np.float32(beta))
    return quantize_multiplier(scale / (_EXP_RANGE / 65535.0))


def _check_softmax(context: OpContext) -> Iterator[str]:
    source = context.input(0)
    options = list(checks.options(context, SoftmaxOptions))
    yield from options
    yield from checks.output_shape(context, source.shape)
    yield from _output_scale(context)
    if not source.shape:
        yield "has a scalar input"
    elif source.shape[-1] > _MAX_DEPTH:
        yield f"runs over {source.shape[-1]} classes; {_MAX_DEPTH} are supported"
    if options or not isinstance(context.operator.options, SoftmaxOptions):
        return
    beta = context.operator.options.beta
    if not beta > 0 or _difference_factor(context).shift > _DIFFERENCE_SHIFT_LIMIT:
        yield f"has beta {beta:.9g} with the input scale {source.scale:.9g}, which is out of range"


def emit_softmax(context: OpContext) -> Emission:
    """A call of ``tidepool_softmax_int16``."""
    source, factor = context.input(0), _difference_factor(context)
    tables = (
        ConstantArray(
            "int16_exponentials", "int16_t", interpolation_table(math.exp, -_EXP_RANGE, 0.0)
        ),
        ConstantArray(
            "int16_reciprocals", "int16_t", interpolation_table(lambda x: 1 / (1 + x), 0.0, 1.0)
        ),
    )
    params: dict[str, object] = {
        "rows": source.elements // source.shape[-1],
        "depth": source.shape[-1],
        "multiplier": factor.value,
        "shift": factor.shift,
        "exponentials": Symbol(tables[0].name),
        "reciprocals": Symbol(tables[1].name),
    }
    return unary_int16_call(
        context, "softmax_int16", "tidepool_softmax_int16_params", params, tables
    )


check_softmax = unary_check(_check_softmax)

"""ADD, SUB, MUL and changes of scale of int16 tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from converters.tflite.graph import Activation
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import AddOptions
from device_runners.cgen import checks
from device_runners.cgen.elementwise import (
    broadcast_params,
    check_broadcast,
    in_place_operands,
    operand_arrays,
)
from device_runners.cgen.int16 import REASON, check_power, power_of_two, with_int16
from device_runners.cgen.operation import (
    ConstantArray,
    Emission,
    KernelCall,
    OpContext,
    Operation,
)
from device_runners.cgen.requantization import activation_range
from device_runners.cgen.rescaling import activation_multiplier, activation_operation

_LEFT_SHIFT = 15  # ADD_LEFT_SHIFT of the kernel
_POWER_SHIFT_LIMIT = 15
RESCALE_SHIFT_LIMIT = 14
"""A value of 16 bits, shifted left by so many, stays below 2^31 in magnitude."""


def int16_call(context: OpContext, kernel: str, params_type: str, **fields: object) -> Emission:
    """A call with both operands, in place where it may be."""
    first, second = context.input(0), context.input(1)
    call = KernelCall(
        f"tidepool_{kernel}", params_type, fields, (first.index, second.index), element_bytes=2
    )
    return Emission(
        kernel=kernel,
        calls=(call,),
        constants=operand_arrays(context, 0, 1),
        in_place=in_place_operands(context),
        reason=REASON,
    )


# ---- ADD and SUB ------------------------------------------------------------------------------


def check_sum(context: OpContext, options: type[Any]) -> Iterator[str]:
    """ADD or SUB, in the general form or, ADD only, of scales that are powers of two."""
    basics = [*checks.int16_activations(context, (0, 1)), *checks.options(context, options)]
    yield from basics
    if basics:
        return
    yield from checks.activation(context)
    yield from check_broadcast(context)
    for tensor in (context.input(0), context.input(1), context.output):
        yield from check_power(tensor)
    if _has_powers(context):
        yield from _check_powers(context)
    elif _multipliers(context)[2].shift > 0:
        yield (
            f"has the output scale {context.output.scale:.9g}, over 2^14 times finer than its "
            "operands'"
        )


def _has_powers(context: OpContext) -> bool:
    """Whether the reference takes its kernel for scales that are powers of two."""
    options: Any = context.operator.options
    tensors = (context.input(0), context.input(1), context.output)
    return options.pot_scale_int16 and all(power_of_two(t.scale) is not None for t in tensors)


def _power_shifts(context: OpContext) -> tuple[int, int]:
    """By which powers of two the operands are divided."""
    first, second, output = (
        power_of_two(tensor.scale) or 0
        for tensor in (context.input(0), context.input(1), context.output)
    )
    return output - first, output - second


def _check_powers(context: OpContext) -> Iterator[str]:
    shifts = _power_shifts(context)
    if not isinstance(context.operator.options, AddOptions):
        yield "has scales that are powers of two, with the option pot_scale_int16"
    if context.input(0).shape != context.input(1).shape:
        yield "broadcasts operands whose scales are powers of two"
    if min(shifts) != 0 or max(shifts) > _POWER_SHIFT_LIMIT:
        yield (
            f"divides its operands by 2^{shifts[0]} and 2^{shifts[1]}; 2^0 and up to "
            f"2^{_POWER_SHIFT_LIMIT} are supported"
        )


def _multipliers(context: OpContext) -> tuple[Multiplier, Multiplier, Multiplier]:
    """To the common scale (twice the larger one), and from there to the output's."""
    first, second, output = context.input(0).scale, context.input(1).scale, context.output.scale
    # The reference doubles in float32, which is exact.
    common = float(np.float32(2) * np.float32(max(first, second)))
    return (
        quantize_multiplier(first / common),
        quantize_multiplier(second / common),
        quantize_multiplier(common / ((1 << _LEFT_SHIFT) * output)),
    )


def emit_sum(context: OpContext, sign: int) -> Emission:
    """A call of ``tidepool_add_int16``, or ``tidepool_add_powers_int16``."""
    options: Any = context.operator.options
    low, high = activation_range(context.output, options.fused_activation_function)
    if _has_powers(context):
        shifts = _power_shifts(context)
        return int16_call(
            context,
            "add_powers_int16",
            "tidepool_add_powers_int16_params",
            count=context.output.elements,
            shift_1=shifts[0],
            shift_2=shifts[1],
            output_min=low,
            output_max=high,
        )
    first, second, to_output = _multipliers(context)
    return int16_call(
        context,
        "add_int16",
        "tidepool_add_int16_params",
        broadcast=broadcast_params(context.input(0), context.input(1)),
        sign=sign,
        multiplier_1=first.value,
        shift_1=first.shift,
        multiplier_2=second.value,
        shift_2=second.shift,
        output_multiplier=to_output.value,
        output_shift=to_output.shift,
        output_min=low,
        output_max=high,
    )


# ---- Changes of scale -------------------------------------------------------------------------


def check_rescale(context: OpContext, multiplier: Multiplier) -> Iterator[str]:
    """A shape that stays, and a factor that can't overflow."""
    yield from checks.output_shape(context, context.input(0).shape)
    if multiplier.shift > RESCALE_SHIFT_LIMIT:
        yield (
            f"scales by more than 2^{RESCALE_SHIFT_LIMIT} (from {context.input(0).scale:.9g} to "
            f"{context.output.scale:.9g})"
        )


def rescale(context: OpContext, multiplier: Multiplier, low: int, high: int) -> Emission:
    """A call of ``tidepool_rescale_int16`` or, for an int8 output, ``..._to_int8``."""
    source, output = context.input(0), context.output
    params: dict[str, object] = {
        "count": output.elements,
        "multiplier": multiplier.value,
        "shift": multiplier.shift,
        "output_zero_point": output.zero_point,
        "output_min": low,
        "output_max": high,
    }
    kernel = "rescale_int16" if output.type is source.type else "rescale_int16_to_int8"
    return unary_int16_call(context, kernel, "tidepool_rescale_int16_params", params)


def unary_int16_call(
    context: OpContext,
    kernel: str,
    params_type: str,
    params: dict[str, object],
    tables: tuple[ConstantArray, ...] = (),
) -> Emission:
    """A call with one operand, in place."""
    source = context.input(0)
    call = KernelCall(f"tidepool_{kernel}", params_type, params, (source.index,), element_bytes=2)
    return Emission(
        kernel=kernel,
        calls=(call,),
        constants=(*tables, *operand_arrays(context, 0)),
        in_place=(source.index,),
        reason=REASON,
    )


def unary_check(
    further: Callable[[OpContext], Iterator[str]],
) -> Callable[[OpContext], Iterator[str]]:
    """An int16 operand and output, and what else there is to check."""

    def check(context: OpContext) -> Iterator[str]:
        basics = list(checks.int16_activations(context))
        yield from basics
        if not basics:
            yield from further(context)

    return check


def activation_with_int16(opcode: str, activation: Activation) -> Operation:
    """An activation as an operator of its own, of int8 or int16 tensors."""

    def emit(context: OpContext) -> Emission:
        low, high = activation_range(context.output, activation)
        return rescale(context, activation_multiplier(context), low, high)

    return with_int16(
        activation_operation(opcode, activation),
        unary_check(lambda context: check_rescale(context, activation_multiplier(context))),
        emit,
    )

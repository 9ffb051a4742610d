"""MUL, with broadcasting and constant operands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import MulOptions
from device_runners.cgen import checks
from device_runners.cgen.elementwise import (
    broadcast_params,
    check_broadcast,
    in_place_operands,
    operand_arrays,
)
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.int16_elementwise import int16_call
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation
from device_runners.cgen.requantization import activation_range
from device_runners.cgen.scalar_operand import scalar_emission

# A product of two differences is at most 255^2 < 2^16: 14 more bits stay below 2^30.
_SHIFT_LIMIT = 14


def _multiplier(context: OpContext) -> Multiplier:
    """scale 1 * scale 2 / output scale; the reference computes it in float32."""
    first, second, output = (
        np.float32(tensor.scale) for tensor in (context.input(0), context.input(1), context.output)
    )
    return quantize_multiplier(float(first * second / output))


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_activations(context, (0, 1)),
        *checks.options(context, MulOptions),
    ]
    yield from basics
    if basics:
        return
    yield from checks.activation(context)
    yield from check_broadcast(context)
    if _multiplier(context).shift > _SHIFT_LIMIT:
        yield f"has the output scale {context.output.scale:.9g}, too fine for its operands'"


def _emit(context: OpContext) -> Emission:
    first, second, output = context.input(0), context.input(1), context.output
    multiplier = _multiplier(context)
    options = context.operator.options
    assert isinstance(options, MulOptions)
    low, high = activation_range(output, options.fused_activation_function)

    def product(a: int, b: int) -> int:
        differences = (a - first.zero_point) * (b - second.zero_point)
        return multiplier.apply(differences) + output.zero_point

    if (table := scalar_emission(context, product, low, high)) is not None:
        return table
    params: dict[str, object] = {
        "broadcast": broadcast_params(first, second),
        "zero_point_1": first.zero_point,
        "zero_point_2": second.zero_point,
        "multiplier": multiplier.value,
        "shift": multiplier.shift,
        "output_zero_point": output.zero_point,
        "output_min": low,
        "output_max": high,
    }
    call = KernelCall("tidepool_mul", "tidepool_mul_params", params, (first.index, second.index))
    return Emission(
        kernel="mul",
        calls=(call,),
        constants=operand_arrays(context, 0, 1),
        in_place=in_place_operands(context),
    )


def _check_int16(context: OpContext) -> Iterator[str]:
    basics = [*checks.int16_activations(context, (0, 1)), *checks.options(context, MulOptions)]
    yield from basics
    if basics:
        return
    yield from checks.activation(context)
    yield from check_broadcast(context)
    if _multiplier(context).shift > 0:
        yield f"has the output scale {context.output.scale:.9g}, too fine for its operands'"


def _emit_int16(context: OpContext) -> Emission:
    multiplier = _multiplier(context)
    options = context.operator.options
    assert isinstance(options, MulOptions)
    low, high = activation_range(context.output, options.fused_activation_function)
    return int16_call(
        context,
        "mul_int16",
        "tidepool_mul_int16_params",
        broadcast=broadcast_params(context.input(0), context.input(1)),
        multiplier=multiplier.value,
        shift=multiplier.shift,
        output_min=low,
        output_max=high,
    )


OP = with_int16(
    Operation("MUL", versions=4, inputs=(2, 2), check=_check, emit=_emit),
    _check_int16,
    _emit_int16,
)

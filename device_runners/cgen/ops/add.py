"""ADD, with broadcasting and constant operands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import AddOptions
from device_runners.cgen import checks
from device_runners.cgen.affine_addition import affine_addition
from device_runners.cgen.elementwise import (
    broadcast_params,
    check_broadcast,
    in_place_operands,
    operand_arrays,
)
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.int16_elementwise import check_sum, emit_sum
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation
from device_runners.cgen.requantization import activation_range
from device_runners.cgen.scalar_operand import scalar_emission

_LEFT_SHIFT = 20  # ADD_LEFT_SHIFT of the kernel


def _multipliers(context: OpContext) -> tuple[Multiplier, Multiplier, Multiplier]:
    """To the common scale (twice the larger one), and from there to the output's."""
    first, second, output = context.input(0).scale, context.input(1).scale, context.output.scale
    # The reference doubles and shifts in float32, which is exact.
    common = float(np.float32(2) * np.float32(max(first, second)))
    return (
        quantize_multiplier(first / common),
        quantize_multiplier(second / common),
        quantize_multiplier(common / ((1 << _LEFT_SHIFT) * output)),
    )


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_activations(context, (0, 1)),
        *checks.options(context, AddOptions),
    ]
    yield from basics
    if basics:
        return
    yield from checks.activation(context)
    yield from check_broadcast(context)
    if _multipliers(context)[2].shift > 0:
        yield (
            f"has the output scale {context.output.scale:.9g}, over 2^19 times finer than its "
            "operands'"
        )


def _emit(context: OpContext) -> Emission:
    first, second, output = context.input(0), context.input(1), context.output
    to_common_1, to_common_2, to_output = _multipliers(context)
    options = context.operator.options
    assert isinstance(options, AddOptions)
    low, high = activation_range(output, options.fused_activation_function)

    def total(a: int, b: int) -> int:
        scaled_1 = to_common_1.apply((a - first.zero_point) << _LEFT_SHIFT)
        scaled_2 = to_common_2.apply((b - second.zero_point) << _LEFT_SHIFT)
        return to_output.apply(scaled_1 + scaled_2) + output.zero_point

    if (table := scalar_emission(context, total, low, high)) is not None:
        return table
    params: dict[str, object] = {
        "broadcast": broadcast_params(first, second),
        "zero_point_1": first.zero_point,
        "zero_point_2": second.zero_point,
        "multiplier_1": to_common_1.value,
        "shift_1": to_common_1.shift,
        "multiplier_2": to_common_2.value,
        "shift_2": to_common_2.shift,
        "output_multiplier": to_output.value,
        "output_shift": to_output.shift,
        "output_zero_point": output.zero_point,
        "output_min": low,
        "output_max": high,
    }
    multipliers = to_common_1, to_common_2, to_output
    if (affine := affine_addition(context, multipliers, (low, high), 1)) is not None:
        return affine
    call = KernelCall("tidepool_add", "tidepool_add_params", params, (first.index, second.index))
    return Emission(
        kernel="add",
        calls=(call,),
        constants=operand_arrays(context, 0, 1),
        in_place=in_place_operands(context),
    )


OP = with_int16(
    Operation("ADD", versions=4, inputs=(2, 2), check=_check, emit=_emit),
    lambda context: check_sum(context, AddOptions),
    lambda context: emit_sum(context, 1),
)

"""ADD, with broadcasting and constant operands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import AddOptions
from device_runners.cgen import checks
from device_runners.cgen.affine_sum import affine_sum
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


def _zero_points(context: OpContext) -> tuple[int, int, int]:
    """Those of both operands and of the output."""
    return (
        context.input(0).zero_point,
        context.input(1).zero_point,
        context.output.zero_point,
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
    affine = None
    if first.shape == second.shape:
        affine = affine_sum(to_common_1, to_common_2, to_output, _zero_points(context))
    if affine is not None:
        params = {
            "count": output.elements,
            "factor_1": affine.factors[0],
            "factor_2": affine.factors[1],
            "addend": affine.addend,
            "shift": affine.shift,
            "output_min": low,
            "output_max": high,
        }
        name = "tidepool_add_affine"
        call = KernelCall(name, f"{name}_params", params, (first.index, second.index))
        return Emission(
            kernel=call.kernel,
            calls=(call,),
            constants=operand_arrays(context, 0, 1),
            in_place=in_place_operands(context),
            reason="equal on all pairs of operands",
        )
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

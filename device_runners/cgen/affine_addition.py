"""ADD and SUB by the kernels for affine sums."""

from __future__ import annotations

from converters.tflite.multiplier import Multiplier
from device_runners.cgen.affine_sum import affine_sum
from device_runners.cgen.elementwise import (
    broadcast_params,
    in_place_operands,
    operand_arrays,
)
from device_runners.cgen.operation import Emission, KernelCall, OpContext


def affine_addition(
    context: OpContext,
    multipliers: tuple[Multiplier, Multiplier, Multiplier],
    clamp: tuple[int, int],
    sign: int,
) -> Emission | None:
    """A call, or None if no affine function equals the operator on all pairs of operands.

    Args:
        context: ADD or SUB of int8 operands.
        multipliers: Of both operands to the common scale, from there to the output's.
        clamp: Least and largest output.
        sign: Of the second operand: 1 or -1.
    """
    first, second, output = context.input(0), context.input(1), context.output
    zero_points = first.zero_point, second.zero_point, output.zero_point
    found = affine_sum(*multipliers, zero_points, sign)
    if found is None:
        return None
    same = first.shape == second.shape
    size = {"count": output.elements} if same else {"broadcast": broadcast_params(first, second)}
    params: dict[str, object] = {
        **size,
        "factor_1": found.factors[0],
        "factor_2": found.factors[1],
        "addend": found.addend,
        "shift": found.shift,
        "output_min": clamp[0],
        "output_max": clamp[1],
    }
    name = "tidepool_add_affine" if same else "tidepool_add_affine_broadcast"
    call = KernelCall(name, f"{name}_params", params, (first.index, second.index))
    return Emission(
        kernel=call.kernel,
        calls=(call,),
        constants=operand_arrays(context, 0, 1),
        in_place=in_place_operands(context),
        reason="equal on all pairs of operands",
    )

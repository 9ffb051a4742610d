"""RELU, RELU6, RELU_N1_TO_1 and QUANTIZE: a change of scale and zero point, and a clamp."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import Activation
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen import checks
from device_runners.cgen.affine_scale import affine_scale
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN, activation_range
from device_runners.cgen.tables import emit_table

# 255 << 22 is below 2^30: the left shift of a difference of int8 values can't overflow.
RESCALE_SHIFT_LIMIT = 22


def check_rescale(context: OpContext, multiplier: Multiplier) -> Iterator[str]:
    """A shape that stays, and a factor that can't overflow."""
    yield from checks.output_shape(context, context.input(0).shape)
    if multiplier.shift > RESCALE_SHIFT_LIMIT:
        yield (
            f"scales by more than 2^{RESCALE_SHIFT_LIMIT} (from {context.input(0).scale:.9g} to "
            f"{context.output.scale:.9g})"
        )


def rescale(context: OpContext, multiplier: Multiplier, low: int, high: int) -> Emission:
    """A call of ``tidepool_rescale``, or a table where no affine function is exact."""
    source, output = context.input(0), context.output
    scaled = [multiplier.apply(x - source.zero_point) for x in range(INT8_MIN, INT8_MAX + 1)]
    expected = np.clip(np.array(scaled, np.int64) + output.zero_point, low, high)
    affine = affine_scale(math.ldexp(multiplier.value, multiplier.shift - 31), expected, low, high)
    if affine is None:
        return emit_table(context, expected)
    params: dict[str, object] = {
        "count": output.elements,
        "factor": affine.factor,
        "addend": affine.addend,
        "shift": affine.shift,
        "output_min": low,
        "output_max": high,
    }
    return Emission(
        kernel="rescale",
        calls=(KernelCall("tidepool_rescale", "tidepool_rescale_params", params, (source.index,)),),
        constants=operand_arrays(context, 0),
        in_place=(source.index,),
        reason="equal on all inputs",
    )


def activation_multiplier(context: OpContext) -> Multiplier:
    """input scale / output scale; the reference divides in float32 for RELU and its like."""
    ratio = np.float32(context.input(0).scale) / np.float32(context.output.scale)
    return quantize_multiplier(float(ratio))


def activation_operation(opcode: str, activation: Activation) -> Operation:
    """An activation as an operator of its own: a change of scale and a clamp."""

    def check(context: OpContext) -> Iterator[str]:
        basics = list(checks.int8_activations(context))
        yield from basics
        if not basics:
            yield from check_rescale(context, activation_multiplier(context))

    def emit(context: OpContext) -> Emission:
        low, high = activation_range(context.output, activation)
        return rescale(context, activation_multiplier(context), low, high)

    return Operation(opcode, versions=2, inputs=(1, 1), check=check, emit=emit)

"""What SUB, SQUARED_DIFFERENCE, MAXIMUM, MINIMUM and PRELU share: two operands that broadcast."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import TensorType
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen import checks
from device_runners.cgen.elementwise import (
    broadcast_params,
    check_broadcast,
    in_place_operands,
    operand_arrays,
)
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation


def check_operands(context: OpContext, dimensions: int) -> Iterator[str]:
    """Shapes that broadcast to the output's, in as many dimensions as the reference can."""
    shapes = context.input(0).shape, context.input(1).shape
    rank = max(map(len, shapes))
    if rank > dimensions and shapes[0] != shapes[1]:
        yield f"broadcasts {rank} dimensions; {dimensions} are supported"
        return
    yield from check_broadcast(context)


def binary_emission(
    context: OpContext, kernel: str, params_type: str, **fields: object
) -> Emission:
    """A call with the broadcast and further fields; in place of an operand of the output's size."""
    first, second = context.input(0), context.input(1)
    params = {"broadcast": broadcast_params(first, second), **fields}
    call = KernelCall(
        f"tidepool_{kernel}",
        params_type,
        params,
        (first.index, second.index),
        element_bytes=first.type.dtype.itemsize,
    )
    return Emission(
        kernel=kernel,
        calls=(call,),
        constants=operand_arrays(context, 0, 1),
        in_place=in_place_operands(context),
    )


def common_scale(context: OpContext) -> tuple[float, Multiplier, Multiplier]:
    """Twice the larger scale, and the operands' factors to it.

    The reference doubles in float32, which is exact.
    """
    first, second = context.input(0).scale, context.input(1).scale
    common = float(np.float32(2) * np.float32(max(first, second)))
    return common, quantize_multiplier(first / common), quantize_multiplier(second / common)


def difference_fields(
    context: OpContext, to_output: Multiplier, low: int, high: int
) -> dict[str, object]:
    """The fields of ``tidepool_difference_params`` after the broadcast."""
    _, first, second = common_scale(context)
    return {
        "zero_point_1": context.input(0).zero_point,
        "zero_point_2": context.input(1).zero_point,
        "multiplier_1": first.value,
        "shift_1": first.shift,
        "multiplier_2": second.value,
        "shift_2": second.shift,
        "output_multiplier": to_output.value,
        "output_shift": to_output.shift,
        "output_zero_point": context.output.zero_point,
        "output_min": low,
        "output_max": high,
    }


def selection_operation(opcode: str) -> Operation:
    """MAXIMUM or MINIMUM: compares integers, so one quantization for all is needed."""
    dimensions = 5  # of the reference

    def check(context: OpContext) -> Iterator[str]:
        basics = list(checks.activations(context, (0, 1)))
        yield from basics
        if basics:
            return
        for position in (0, 1):
            yield from checks.same_quantization(
                context.input(position), context.output, "operands and output"
            )
        yield from check_operands(context, dimensions)

    def emit(context: OpContext) -> Emission:
        kernel = opcode.lower() + ("_int16" if context.output.type is TensorType.INT16 else "")
        return binary_emission(context, kernel, "tidepool_selection_params")

    return Operation(opcode, versions=4, inputs=(2, 2), check=check, emit=emit, int16=True)

"""SUB, with broadcasting and constant operands."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import SubOptions
from device_runners.cgen import checks
from device_runners.cgen.affine_addition import affine_addition
from device_runners.cgen.binary import (
    binary_emission,
    check_operands,
    common_scale,
    difference_fields,
)
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.int16_elementwise import check_sum, emit_sum
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.requantization import activation_range
from device_runners.cgen.scalar_operand import scalar_emission

_LEFT_SHIFT = 20  # SUB_LEFT_SHIFT of the kernel
_MAX_DIMENSIONS = 5  # of the reference


def _to_output(context: OpContext) -> Multiplier:
    common, _, _ = common_scale(context)
    return quantize_multiplier(common / ((1 << _LEFT_SHIFT) * context.output.scale))


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_activations(context, (0, 1)),
        *checks.options(context, SubOptions),
    ]
    yield from basics
    if basics:
        return
    yield from checks.activation(context)
    yield from check_operands(context, _MAX_DIMENSIONS)
    if _to_output(context).shift > 0:
        yield (
            f"has the output scale {context.output.scale:.9g}, over 2^19 times finer than its "
            "operands'"
        )


def _emit(context: OpContext) -> Emission:
    options = context.operator.options
    assert isinstance(options, SubOptions)
    low, high = activation_range(context.output, options.fused_activation_function)
    first, second, to_output = context.input(0), context.input(1), _to_output(context)
    _, to_common_1, to_common_2 = common_scale(context)

    def difference(a: int, b: int) -> int:
        scaled_1 = to_common_1.apply((a - first.zero_point) << _LEFT_SHIFT)
        scaled_2 = to_common_2.apply((b - second.zero_point) << _LEFT_SHIFT)
        return to_output.apply(scaled_1 - scaled_2) + context.output.zero_point

    if (table := scalar_emission(context, difference, low, high)) is not None:
        return table
    multipliers = to_common_1, to_common_2, to_output
    if (affine := affine_addition(context, multipliers, (low, high), -1)) is not None:
        return affine
    fields = difference_fields(context, to_output, low, high)
    return binary_emission(context, "sub", "tidepool_difference_params", **fields)


OP = with_int16(
    Operation("SUB", versions=5, inputs=(2, 2), check=_check, emit=_emit),
    lambda context: check_sum(context, SubOptions),
    lambda context: emit_sum(context, -1),
)

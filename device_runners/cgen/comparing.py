"""What the comparisons share: truth values, a byte each, of two int8 operands that broadcast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from converters.tflite.graph import TensorType
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen import checks
from device_runners.cgen.binary import binary_emission, check_operands
from device_runners.cgen.operation import Emission, OpContext, Operation

_MAX_DIMENSIONS = 4  # of the reference


def _multipliers(context: OpContext) -> tuple[Multiplier, Multiplier]:
    """The operands' scales."""
    first, second = context.input(0).scale, context.input(1).scale
    return quantize_multiplier(first), quantize_multiplier(second)


def _check(context: OpContext) -> Iterator[str]:
    basics = [*checks.int8_operand(context, 0), *checks.int8_operand(context, 1)]
    if context.output.type is not TensorType.BOOL:
        basics.append(f"has an output of type {context.output.type}; BOOL is supported")
    yield from basics
    if basics:
        return
    yield from check_operands(context, _MAX_DIMENSIONS)
    for position, multiplier in enumerate(_multipliers(context)):
        if multiplier.shift > 0:
            scale = context.input(position).scale
            yield f"compares an operand of the scale {scale:.9g}; the reference needs less than 1"


def comparison(opcode: str, *, less: bool, equal: bool, greater: bool) -> Operation:
    """A comparison by its results where the first operand is less, equal and greater."""

    def emit(context: OpContext) -> Emission:
        first, second = _multipliers(context)
        emission = binary_emission(
            context,
            "compare",
            "tidepool_compare_params",
            zero_point_1=context.input(0).zero_point,
            zero_point_2=context.input(1).zero_point,
            multiplier_1=first.value,
            shift_1=first.shift,
            multiplier_2=second.value,
            shift_2=second.shift,
            if_less=int(less),
            if_equal=int(equal),
            if_greater=int(greater),
        )
        return replace(emission, summary="1 where it holds, else 0")

    return Operation(opcode, versions=2, inputs=(2, 2), check=_check, emit=emit)

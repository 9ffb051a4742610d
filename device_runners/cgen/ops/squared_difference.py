"""SQUARED_DIFFERENCE, with broadcasting and constant operands."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen import checks
from device_runners.cgen.binary import (
    binary_emission,
    check_operands,
    common_scale,
    difference_fields,
)
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN

_LEFT_SHIFT = 7  # SQUARE_LEFT_SHIFT of the kernel
_MAX_DIMENSIONS = 4  # of the reference


def _to_output(context: OpContext) -> Multiplier:
    common, _, _ = common_scale(context)
    return quantize_multiplier(common * common / ((1 << 2 * _LEFT_SHIFT) * context.output.scale))


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.int8_activations(context, (0, 1)))
    yield from basics
    if basics:
        return
    yield from check_operands(context, _MAX_DIMENSIONS)
    if _to_output(context).shift > 0:
        yield f"has the output scale {context.output.scale:.9g}, too fine for its operands'"


def _emit(context: OpContext) -> Emission:
    fields = difference_fields(context, _to_output(context), INT8_MIN, INT8_MAX)
    return binary_emission(context, "squared_difference", "tidepool_difference_params", **fields)


OP = Operation("SQUARED_DIFFERENCE", versions=2, inputs=(2, 2), check=_check, emit=_emit)

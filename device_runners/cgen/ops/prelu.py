"""PRELU, with slopes that broadcast to the input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen import checks
from device_runners.cgen.binary import binary_emission, check_operands
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.rescaling import RESCALE_SHIFT_LIMIT

_MAX_DIMENSIONS = 4  # of the reference
# A product of two differences is at most 255^2 < 2^16: 14 more bits stay below 2^30.
_PRODUCT_SHIFT_LIMIT = 14


def _multipliers(context: OpContext) -> tuple[Multiplier, Multiplier]:
    """For positive and for negative inputs; the reference multiplies and divides in float32."""
    source, slope, output = (
        np.float32(tensor.scale) for tensor in (context.input(0), context.input(1), context.output)
    )
    return (
        quantize_multiplier(float(source / output)),
        quantize_multiplier(float(source * slope / output)),
    )


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.int8_activations(context, (0, 1)))
    yield from basics
    if basics:
        return
    yield from checks.output_shape(context, context.input(0).shape)
    yield from check_operands(context, _MAX_DIMENSIONS)
    positive, negative = _multipliers(context)
    if positive.shift > RESCALE_SHIFT_LIMIT or negative.shift > _PRODUCT_SHIFT_LIMIT:
        yield f"has the output scale {context.output.scale:.9g}, too fine for its operands'"


def _emit(context: OpContext) -> Emission:
    positive, negative = _multipliers(context)
    return binary_emission(
        context,
        "prelu",
        "tidepool_prelu_params",
        input_zero_point=context.input(0).zero_point,
        slope_zero_point=context.input(1).zero_point,
        multiplier_1=positive.value,
        shift_1=positive.shift,
        multiplier_2=negative.value,
        shift_2=negative.shift,
        output_zero_point=context.output.zero_point,
    )


OP = Operation("PRELU", versions=1, inputs=(2, 2), check=_check, emit=_emit)

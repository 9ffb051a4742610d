"""MEAN over any constant set of dimensions: a sum whose factor has the division in it."""

from __future__ import annotations

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.operation import OpContext
from device_runners.cgen.reductions import (
    check_int16_mean,
    count,
    emit_int16_mean,
    sum_operation,
)


def _multiplier(context: OpContext) -> Multiplier:
    """input scale / output scale / number of elements, the division as the reference does it.

    The multiplier is shifted up by as many bits as the count has, so that dividing it loses little.
    """
    scale = quantize_multiplier(context.input(0).scale / context.output.scale)
    elements = count(context)
    shift = min(elements.bit_length() - 1, 32, 31 + scale.shift)
    return Multiplier((scale.value << shift) // elements, scale.shift - shift)


OP = with_int16(
    sum_operation("MEAN", _multiplier),
    lambda context: check_int16_mean(context, _multiplier),
    lambda context: emit_int16_mean(context, _multiplier),
)

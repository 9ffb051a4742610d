"""SUM over any constant set of dimensions."""

from __future__ import annotations

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen.operation import OpContext
from device_runners.cgen.reductions import sum_operation


def _multiplier(context: OpContext) -> Multiplier:
    return quantize_multiplier(context.input(0).scale / context.output.scale)


OP = sum_operation("SUM", _multiplier)

"""QUANTIZE from int8 to int8, from int16 to int16 or to int8: a change of scale and zero point."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import TensorType
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen import checks, int16_elementwise
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN
from device_runners.cgen.rescaling import check_rescale, rescale


def _multiplier(context: OpContext) -> Multiplier:
    return quantize_multiplier(context.input(0).scale / context.output.scale)


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.int8_activations(context))
    yield from basics
    if not basics:
        yield from check_rescale(context, _multiplier(context))


def _emit(context: OpContext) -> Emission:
    return rescale(context, _multiplier(context), INT8_MIN, INT8_MAX)


def _check_int16(context: OpContext) -> Iterator[str]:
    # From int8 to int16 the reference has no kernel.
    narrow = context.output.type is TensorType.INT8
    basics = [
        *checks.int16_operand(context, 0),
        *(checks.int8_tensor if narrow else checks.int16_tensor)(context.output, "output"),
    ]
    yield from basics
    if not basics:
        yield from int16_elementwise.check_rescale(context, _multiplier(context))


def _emit_int16(context: OpContext) -> Emission:
    limits = np.iinfo(context.output.type.dtype)
    return int16_elementwise.rescale(context, _multiplier(context), limits.min, limits.max)


OP = with_int16(
    Operation("QUANTIZE", versions=2, inputs=(1, 1), check=_check, emit=_emit),
    _check_int16,
    _emit_int16,
)

"""QUANTIZE from int8 to int8: a change of scale and zero point."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen import checks
from device_runners.cgen.elementwise import check_rescale, rescale
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN


def _multiplier(context: OpContext) -> Multiplier:
    return quantize_multiplier(context.input(0).scale / context.output.scale)


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.int8_activations(context))
    yield from basics
    if not basics:
        yield from check_rescale(context, _multiplier(context))


def _emit(context: OpContext) -> Emission:
    return rescale(context, _multiplier(context), INT8_MIN, INT8_MAX)


OP = Operation("QUANTIZE", versions=2, inputs=(1, 1), check=_check, emit=_emit)

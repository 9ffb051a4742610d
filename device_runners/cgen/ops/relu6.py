"""RELU6 as an operator of its own: a change of scale and a clamp."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import Activation
from device_runners.cgen import checks
from device_runners.cgen.elementwise import check_rescale, rescale
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.requantization import Multiplier, activation_range, quantize_multiplier


def _multiplier(context: OpContext) -> Multiplier:
    """input scale / output scale; the reference divides in float32."""
    return quantize_multiplier(
        float(np.float32(context.input(0).scale) / np.float32(context.output.scale))
    )


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.int8_activations(context))
    yield from basics
    if not basics:
        yield from check_rescale(context, _multiplier(context))


def _emit(context: OpContext) -> Emission:
    low, high = activation_range(context.output, Activation.RELU6)
    return rescale(context, _multiplier(context), low, high)


OP = Operation("RELU6", versions=2, inputs=(1, 1), check=_check, emit=_emit)

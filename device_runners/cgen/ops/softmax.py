"""SOFTMAX over the last dimension, with a table of exponentials."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.options import SoftmaxOptions
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.fixed_point import softmax_exponentials, softmax_multiplier
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.int16_functions import check_softmax, emit_softmax
from device_runners.cgen.operation import (
    ConstantArray,
    Emission,
    KernelCall,
    OpContext,
    Operation,
    Symbol,
)

_OUTPUT_SCALE = 1 / 256
_OUTPUT_SCALE_TOLERANCE = 0.001 / 256
_MAX_DEPTH = 4095
"""The sum of the exponentials is Q12.19."""


def _beta(context: OpContext) -> float:
    options = context.operator.options
    return options.beta if isinstance(options, SoftmaxOptions) else 1.0


def _check(context: OpContext) -> Iterator[str]:
    basics = [*checks.int8_activations(context), *checks.options(context, SoftmaxOptions)]
    yield from basics
    if basics:
        return
    source, output = context.input(0), context.output
    yield from checks.output_shape(context, source.shape)
    if abs(output.scale - _OUTPUT_SCALE) > _OUTPUT_SCALE_TOLERANCE or output.zero_point != -128:
        yield (
            f"has the output scale {output.scale:.9g} and zero point {output.zero_point}; "
            "1/256 and -128 are needed"
        )
    if not source.shape:
        yield "has a scalar input"
    elif source.shape[-1] > _MAX_DEPTH:
        yield f"runs over {source.shape[-1]} classes; {_MAX_DEPTH} are supported"
    beta = _beta(context)
    if not beta > 0 or softmax_multiplier(beta, source.scale).shift < 1:
        yield f"has beta {beta:.9g} with the input scale {source.scale:.9g}, which is out of range"


def _emit(context: OpContext) -> Emission:
    source = context.input(0)
    exponentials = np.array(softmax_exponentials(_beta(context), source.scale), np.int32)
    table = ConstantArray(context.name("exponentials"), "int32_t", exponentials)
    depth = source.shape[-1]
    params: dict[str, object] = {
        "rows": source.elements // depth,
        "depth": depth,
        "exponentials_count": len(exponentials),
        "exponentials": Symbol(table.name),
    }
    return Emission(
        kernel="softmax",
        calls=(KernelCall("tidepool_softmax", "tidepool_softmax_params", params, (source.index,)),),
        summary=f"over {depth} values, beta {_beta(context):.9g}",
        constants=(table, *operand_arrays(context, 0)),
        in_place=(source.index,),
    )


OP = with_int16(
    Operation("SOFTMAX", versions=3, inputs=(1, 1), check=_check, emit=_emit),
    check_softmax,
    emit_softmax,
)

"""LOG_SOFTMAX over the last dimension, with a table of exponentials."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.multiplier import quantize_multiplier
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.fixed_point import softmax_exponentials, softmax_multiplier
from device_runners.cgen.operation import (
    ConstantArray,
    Emission,
    KernelCall,
    OpContext,
    Operation,
    Symbol,
)

_OUTPUT_SCALE = 1 / 16
_OUTPUT_ZERO_POINT = 127
_MAX_DEPTH = 4095
"""The sum of the exponentials is Q12.19."""


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.int8_activations(context))
    yield from basics
    if basics:
        return
    source, output = context.input(0), context.output
    yield from checks.output_shape(context, source.shape)
    if output.scale != _OUTPUT_SCALE or output.zero_point != _OUTPUT_ZERO_POINT:
        yield (
            f"has the output scale {output.scale:.9g} and zero point {output.zero_point}; "
            "1/16 and 127 are needed"
        )
    if not source.shape:
        yield "has a scalar input"
    elif source.shape[-1] > _MAX_DEPTH:
        yield f"runs over {source.shape[-1]} classes; {_MAX_DEPTH} are supported"
    if softmax_multiplier(1.0, source.scale).shift < 2:
        yield f"has the input scale {source.scale:.9g}, which is out of range"


def _emit(context: OpContext) -> Emission:
    source = context.input(0)
    to_fixed = softmax_multiplier(1.0, source.scale)
    exponentials = softmax_exponentials(1.0, source.scale)
    differences = [to_fixed.apply(-distance) for distance in range(len(exponentials))]
    tables = [
        ConstantArray(context.name(name), "int32_t", np.array(values, np.int32))
        for name, values in (("differences", differences), ("exponentials", exponentials))
    ]
    reverse = quantize_multiplier((1 << (31 - to_fixed.shift)) / to_fixed.value)
    depth = source.shape[-1]
    params: dict[str, object] = {
        "rows": source.elements // depth,
        "depth": depth,
        "differences_count": len(differences),
        "differences": Symbol(tables[0].name),
        "exponentials": Symbol(tables[1].name),
        "reverse_multiplier": reverse.value,
        "reverse_shift": reverse.shift,
    }
    call = KernelCall(
        "tidepool_log_softmax", "tidepool_log_softmax_params", params, (source.index,)
    )
    return Emission(
        kernel="log_softmax",
        calls=(call,),
        summary=f"over {depth} values",
        constants=(*tables, *operand_arrays(context, 0)),
        in_place=(source.index,),
    )


OP = Operation("LOG_SOFTMAX", versions=2, inputs=(1, 1), check=_check, emit=_emit)

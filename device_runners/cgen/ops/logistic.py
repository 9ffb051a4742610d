"""LOGISTIC: a table of 256 results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import Array
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.int16_functions import check_sigmoid, emit_sigmoid
from device_runners.cgen.operation import (
    ConstantArray,
    Emission,
    KernelCall,
    OpContext,
    Operation,
    Symbol,
)
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN

_OUTPUT_SCALE = 1 / 256


def logistic_table(scale: float, zero_point: int, output_zero_point: int) -> Array:
    """The reference's table for inputs -128 ... 127: every step in float32, as it does."""
    integers = np.arange(INT8_MIN, INT8_MAX + 1) - zero_point
    real = np.float32(scale) * integers.astype(np.float32)
    with np.errstate(over="ignore"):  # an infinite exponential is a result of 0
        exponential = np.exp(-real.astype(np.float64)).astype(np.float32)
    result = np.float32(1) / (np.float32(1) + exponential) * np.float32(256)
    rounded = np.floor(result.astype(np.float64) + 0.5) + output_zero_point
    table: Array = np.clip(rounded, INT8_MIN, INT8_MAX).astype(np.int8)
    return table


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.int8_activations(context))
    yield from basics
    if basics:
        return
    yield from checks.output_shape(context, context.input(0).shape)
    if context.output.scale != _OUTPUT_SCALE:
        yield f"has the output scale {context.output.scale:.9g}; it must be 1/256"


def _emit(context: OpContext) -> Emission:
    source, output = context.input(0), context.output
    table = ConstantArray(
        context.name("table"),
        "int8_t",
        logistic_table(source.scale, source.zero_point, output.zero_point),
    )
    params: dict[str, object] = {"count": output.elements, "table": Symbol(table.name)}
    return Emission(
        kernel="lookup",
        calls=(KernelCall("tidepool_lookup", "tidepool_lookup_params", params, (source.index,)),),
        constants=(table, *operand_arrays(context, 0)),
        in_place=(source.index,),
    )


OP = with_int16(
    Operation("LOGISTIC", versions=3, inputs=(1, 1), check=_check, emit=_emit),
    check_sigmoid,
    emit_sigmoid,
)

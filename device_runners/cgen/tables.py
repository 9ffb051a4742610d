"""Operators of one int8 operand as a table of 256 results, computed ahead of time.

Formula: TFLite's ``LUTPopulate`` for int8, every step in float32 as it does: the real value of each
input, the op's function, division by the output's scale, rounding with ties away from zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from converters.tflite.graph import Array, Tensor
from device_runners.cgen import checks
from device_runners.cgen.elementwise import constant_arrays
from device_runners.cgen.operation import (
    ConstantArray,
    Emission,
    KernelCall,
    OpContext,
    Operation,
    Symbol,
)
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN

Reals = npt.NDArray[np.float32]
Function = Callable[[OpContext, Reals], Reals]
"""Real inputs -> real results, both float32."""
Table = Callable[[OpContext], Array]
"""The results for the inputs -128 ... 127, not clamped."""

_ROUNDED_LIMIT = 2.0**31


def differences(context: OpContext) -> npt.NDArray[np.int64]:
    """Input minus zero point, for the inputs -128 ... 127."""
    return np.arange(INT8_MIN, INT8_MAX + 1) - context.input(0).zero_point


def in_double(function: Callable[[Array], Array], x: Reals) -> Reals:
    """A function of the mathematics library, to the nearest float32."""
    with np.errstate(over="ignore"):
        return function(x.astype(np.float64)).astype(np.float32)


def _rounded(context: OpContext, function: Function) -> npt.NDArray[np.float64]:
    """The quantized results, as integers in floating point; infinite where they overflow."""
    output = context.output
    x = np.float32(context.input(0).scale) * differences(context).astype(np.float32)
    with np.errstate(over="ignore"):
        scaled = function(context, x) * (np.float32(1) / np.float32(output.scale))
    scaled = scaled.astype(np.float64)
    rounded: Reals = (np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)).astype(np.float32)
    return (rounded + np.float32(output.zero_point)).astype(np.float64)


def function_operation(opcode: str, versions: int, function: Function) -> Operation:
    """An op that the reference computes by a table of a function of real numbers."""

    def table(context: OpContext) -> Array:
        return _rounded(context, function)

    def check(context: OpContext) -> Iterator[str]:
        if not (np.abs(table(context)) < _ROUNDED_LIMIT).all():
            yield (
                f"has the output scale {context.output.scale:.9g}, too fine for results of inputs "
                f"of the scale {context.input(0).scale:.9g}"
            )

    return table_operation(opcode, versions, table, check)


def table_operation(
    opcode: str,
    versions: int,
    table: Table,
    further: Callable[[OpContext], Iterator[str]],
) -> Operation:
    """An op whose results are a table.

    Args:
        opcode: The op.
        versions: Its versions, up to this one.
        table: Its results; clamped to int8 here.
        further: What is to be checked beside types, quantization and shapes.
    """

    def check(context: OpContext) -> Iterator[str]:
        basics = list(checks.int8_activations(context))
        yield from basics
        if basics:
            return
        yield from checks.output_shape(context, context.input(0).shape)
        yield from further(context)

    def emit(context: OpContext) -> Emission:
        return emit_table(context, table(context))

    return Operation(opcode, versions=versions, inputs=(1, 1), check=check, emit=emit)


def emit_table(context: OpContext, results: Array, source: Tensor | None = None) -> Emission:
    """A call of ``tidepool_lookup``.

    Args:
        context: The operator.
        results: For the inputs -128 ... 127; clamped to int8 here.
        source: What is looked up: the first operand, if it isn't given.
    """
    source = source or context.input(0)
    values = np.clip(results, INT8_MIN, INT8_MAX).astype(np.int8)
    table = ConstantArray(context.name("table"), "int8_t", values)
    params: dict[str, object] = {"count": context.output.elements, "table": Symbol(table.name)}
    return Emission(
        kernel="lookup",
        calls=(KernelCall("tidepool_lookup", "tidepool_lookup_params", params, (source.index,)),),
        constants=(table, *constant_arrays(source)),
        in_place=(source.index,),
    )

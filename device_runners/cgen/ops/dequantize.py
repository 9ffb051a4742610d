"""DEQUANTIZE of an int8 or int16 tensor to a float output of the model."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.int16 import is_wide
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation


def _check(context: OpContext) -> Iterator[str]:
    operand = checks.int16_operand if is_wide(context) else checks.int8_operand
    basics = list(operand(context, 0))
    if context.output.type is not TensorType.FLOAT32:
        basics.append(f"has an output of type {context.output.type}; FLOAT32 is supported")
    yield from basics
    if not basics:
        yield from checks.output_shape(context, context.input(0).shape)


def _emit(context: OpContext) -> Emission:
    source = context.input(0)
    params: dict[str, object] = {"count": source.elements}
    if not is_wide(context):
        params["zero_point"] = source.zero_point
    params["scale"] = source.scale
    kernel = "dequantize_int16" if is_wide(context) else "dequantize"
    call = KernelCall(
        f"tidepool_{kernel}",
        f"tidepool_{kernel}_params",
        params,
        (source.index,),
        element_bytes=source.type.dtype.itemsize,
    )
    return Emission(kernel, (call,), constants=operand_arrays(context, 0))


OP = Operation("DEQUANTIZE", versions=4, inputs=(1, 1), check=_check, emit=_emit, int16=True)

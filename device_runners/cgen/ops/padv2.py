"""PADV2: PAD with a constant value of its own."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.padding import check_pad, emit_pad


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *check_pad(context),
        *checks.constant(context, 2, "padding value", TensorType.INT8),
        *checks.int8_tensor(context.optional_input(2), "padding value"),
    ]
    yield from basics
    if basics:
        return
    value = context.input(2)
    if value.elements != 1:
        yield f"has {value.elements} padding values; one is needed"
    yield from checks.same_quantization(value, context.output, "padding value and output")


def _emit(context: OpContext) -> Emission:
    return emit_pad(context, int(context.data(2).ravel()[0]))


OP = Operation("PADV2", versions=4, inputs=(3, 3), check=_check, emit=_emit)

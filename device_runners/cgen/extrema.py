"""What ARG_MAX and ARG_MIN share: the index of an extreme value along a constant axis."""

from __future__ import annotations

import math
from collections.abc import Iterator

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.moves import axis_of, integers
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation

_TYPES = (TensorType.INT32, TensorType.INT64)


def _axis(context: OpContext) -> int | None:
    return axis_of(integers(context, 1)[0], len(context.input(0).shape))


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_operand(context, 0),
        *checks.constant(context, 1, "axis", *_TYPES),
    ]
    if context.output.type not in _TYPES:
        basics.append(f"has an output of type {context.output.type}; INT32 or INT64 is supported")
    yield from basics
    if basics:
        return
    axis, shape = _axis(context), context.input(0).shape
    if axis is None:
        yield f"searches {list(shape)} along axis {integers(context, 1)[0]}"
        return
    yield from checks.output_shape(context, (*shape[:axis], *shape[axis + 1 :]))


def arg_operation(opcode: str) -> Operation:
    """ARG_MAX or ARG_MIN."""

    def emit(context: OpContext) -> Emission:
        kernel, source, axis = opcode.lower(), context.input(0), _axis(context) or 0
        params: dict[str, object] = {
            "outer": math.prod(source.shape[:axis]),
            "extent": source.shape[axis],
            "inner": math.prod(source.shape[axis + 1 :]),
            "wide": int(context.output.type is TensorType.INT64),
        }
        call = KernelCall(f"tidepool_{kernel}", "tidepool_arg_params", params, (source.index,))
        return Emission(
            kernel=kernel,
            calls=(call,),
            summary=f"along axis {axis}",
            constants=operand_arrays(context, 0),
        )

    return Operation(opcode, versions=2, inputs=(2, 2), check=_check, emit=emit)

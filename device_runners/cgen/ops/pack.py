"""PACK: joins operands of one shape along a new axis, one copy for each."""

from __future__ import annotations

import math
from collections.abc import Iterator

from converters.tflite.options import PackOptions
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.moves import axis_of
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation


def _axis(context: OpContext) -> int | None:
    options = context.operator.options
    axis = options.axis if isinstance(options, PackOptions) else 0
    return axis_of(axis, len(context.input(0).shape) + 1)


def _check(context: OpContext) -> Iterator[str]:
    positions = range(len(context.inputs))
    basics = [*checks.activations(context, positions), *checks.options(context, PackOptions)]
    yield from basics
    if basics:
        return
    axis, shape = _axis(context), context.input(0).shape
    if axis is None:
        yield f"joins {list(shape)} along an axis that the result doesn't have"
        return
    for tensor in (context.input(position) for position in positions):
        yield from checks.same_quantization(tensor, context.output, "operands and output")
        if tensor.shape != shape:
            yield f"joins {list(tensor.shape)} and {list(shape)}"
            return
    yield from checks.output_shape(context, (*shape[:axis], len(positions), *shape[axis:]))


def _emit(context: OpContext) -> Emission:
    axis, shape = _axis(context) or 0, context.input(0).shape
    count = len(context.inputs)
    size = math.prod(shape[axis:]) * context.output.type.dtype.itemsize  # bytes
    params = {"rows": math.prod(shape[:axis]), "input_stride": size, "output_stride": size * count}
    calls = tuple(
        KernelCall(
            "tidepool_copy",
            "tidepool_copy_params",
            params,
            (context.input(position).index,),
            position * size,
        )
        for position in range(count)
    )
    return Emission(
        kernel="copy",
        calls=calls,
        summary=f"along axis {axis}",
        constants=operand_arrays(context, *range(count)),
    )


OP = Operation("PACK", versions=3, inputs=(1, None), check=_check, emit=_emit, int16=True)

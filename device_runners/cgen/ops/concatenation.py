"""CONCATENATION along any axis: one copy for each operand.

Operands in another quantization than the output are refused: so does the reference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from converters.tflite.graph import Activation
from converters.tflite.options import ConcatenationOptions
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation


def _axis(context: OpContext) -> int:
    options = context.operator.options
    axis = options.axis if isinstance(options, ConcatenationOptions) else 0
    return axis + len(context.output.shape) if axis < 0 else axis


def _check(context: OpContext) -> Iterator[str]:
    options = context.operator.options
    basics = [
        *checks.activations(context, range(len(context.inputs))),
        *checks.options(context, ConcatenationOptions),
    ]
    yield from basics
    if basics or not isinstance(options, ConcatenationOptions):
        return
    if options.fused_activation_function is not Activation.NONE:
        yield f"has the fused activation {options.fused_activation_function}; NONE is supported"
    axis, shape = _axis(context), context.output.shape
    tensors = [context.input(position) for position in range(len(context.inputs))]
    if not 0 <= axis < len(shape):
        yield f"joins along axis {options.axis} of {len(shape)} dimensions"
        return
    total = 0
    for tensor in tensors:
        yield from checks.same_quantization(tensor, context.output, "operands and output")
        rest = (*tensor.shape[:axis], *tensor.shape[axis + 1 :])
        if len(tensor.shape) != len(shape) or rest != (*shape[:axis], *shape[axis + 1 :]):
            yield f"can't join {list(tensor.shape)} into {list(shape)} along axis {axis}"
            return
        total += tensor.shape[axis]
    yield from checks.output_shape(context, (*shape[:axis], total, *shape[axis + 1 :]))


def _emit(context: OpContext) -> Emission:
    axis, shape = _axis(context), context.output.shape
    inner = math.prod(shape[axis + 1 :]) * context.output.type.dtype.itemsize  # bytes
    calls, offset = [], 0
    for position in range(len(context.inputs)):
        tensor = context.input(position)
        size = tensor.shape[axis] * inner
        params = {
            "rows": math.prod(shape[:axis]),
            "input_stride": size,
            "output_stride": shape[axis] * inner,
        }
        calls.append(
            KernelCall("tidepool_copy", "tidepool_copy_params", params, (tensor.index,), offset)
        )
        offset += size
    return Emission(
        kernel="copy",
        calls=tuple(calls),
        summary=f"along axis {axis}",
        constants=operand_arrays(context, *range(len(context.inputs))),
    )


OP = Operation("CONCATENATION", versions=3, inputs=(1, None), check=_check, emit=_emit, int16=True)

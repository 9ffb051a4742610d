"""GATHER with constant indices."""

from __future__ import annotations

import math
from collections.abc import Iterator

from converters.tflite.graph import TensorType
from converters.tflite.options import GatherOptions
from device_runners.cgen import checks
from device_runners.cgen.moves import axis_of, integers
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.taking import take_emission


def _axis(context: OpContext) -> int | None:
    options = context.operator.options
    axis = options.axis if isinstance(options, GatherOptions) else 0
    return axis_of(axis, len(context.input(0).shape))


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.activations(context),
        *checks.options(context, GatherOptions),
        *checks.constant(context, 1, "indices", TensorType.INT32, TensorType.INT64),
    ]
    yield from basics
    options = context.operator.options
    if basics or not isinstance(options, GatherOptions):
        return
    axis, shape = _axis(context), context.input(0).shape
    if axis is None:
        yield f"gathers from {list(shape)} along axis {options.axis}"
        return
    if options.batch_dims:
        yield f"has {options.batch_dims} batch dimensions; 0 are supported"
    indices = integers(context, 1)
    if not all(0 <= index < shape[axis] for index in indices):
        yield f"gathers indices {min(indices)} to {max(indices)} of {shape[axis]}"
    yield from checks.same_quantization(context.input(0), context.output, "input and output")
    yield from checks.output_shape(
        context, (*shape[:axis], *context.data(1).shape, *shape[axis + 1 :])
    )


def _emit(context: OpContext) -> Emission:
    axis, shape = _axis(context) or 0, context.input(0).shape
    run = math.prod(shape[axis + 1 :])
    outer = range(math.prod(shape[:axis]))
    offsets = [
        [place * shape[axis] * run for place in outer],
        [index * run for index in integers(context, 1)],
    ]
    return take_emission(context, offsets, run, f"along axis {axis}")


OP = Operation("GATHER", versions=6, inputs=(2, 2), check=_check, emit=_emit, int16=True)

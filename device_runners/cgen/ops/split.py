"""SPLIT into equal parts along a constant axis."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.moves import Move, axis_of, canvas, integers, move, move_operation
from device_runners.cgen.operation import OpContext


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.constant(context, 0, "axis", TensorType.INT32))
    yield from basics
    if basics:
        return
    shape, parts = context.input(1).shape, len(context.outputs)
    axis = axis_of(integers(context, 0)[0], len(shape))
    if axis is None or shape[axis] % parts:
        yield f"splits {list(shape)} along axis {integers(context, 0)[0]} into {parts} parts"


def _moves(context: OpContext) -> list[Move]:
    base = canvas(context.input(1))
    parts = np.split(base, len(context.outputs), axis=integers(context, 0)[0])
    return [move(base, part) for part in parts]


OP = move_operation(
    "SPLIT",
    4,
    (2, 2),
    basics=_check,
    moves=_moves,
    operand=1,
    outputs=(1, None),
    int16=True,
)

"""SPLIT_V: into parts of constant sizes along a constant axis."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.moves import Move, axis_of, canvas, integers, move, move_operation
from device_runners.cgen.operation import OpContext


def _sizes(context: OpContext, extent: int) -> list[int]:
    """The sizes, with what is left in place of a -1."""
    sizes = integers(context, 1)
    rest = extent - sum(size for size in sizes if size != -1)
    return [rest if size == -1 else size for size in sizes]


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.constant(context, 1, "sizes", TensorType.INT32, TensorType.INT64),
        *checks.constant(context, 2, "axis", TensorType.INT32),
    ]
    yield from basics
    if basics:
        return
    shape, written = context.input(0).shape, integers(context, 1)
    axis = axis_of(integers(context, 2)[0], len(shape))
    if axis is None:
        yield f"splits {list(shape)} along axis {integers(context, 2)[0]}"
        return
    sizes = _sizes(context, shape[axis])
    if written.count(-1) > 1 or min(sizes, default=0) < 1 or sum(sizes) != shape[axis]:
        yield f"splits {shape[axis]} along axis {axis} into {written}"


def _moves(context: OpContext) -> list[Move]:
    base, axis = canvas(context.input(0)), integers(context, 2)[0]
    places = np.cumsum(_sizes(context, base.shape[axis]))[:-1].tolist()
    return [move(base, part) for part in np.split(base, places, axis=axis)]


OP = move_operation(
    "SPLIT_V",
    2,
    (3, 3),
    basics=_check,
    moves=_moves,
    outputs=(1, None),
    int16=True,
)

"""BROADCAST_TO a constant shape."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.elementwise import broadcast_shape
from device_runners.cgen.moves import Move, canvas, integers, move, move_operation
from device_runners.cgen.operation import OpContext


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.constant(context, 1, "shape", TensorType.INT32, TensorType.INT64))
    yield from basics
    if basics:
        return
    shape = tuple(integers(context, 1))
    if broadcast_shape(context.input(0).shape, shape) != shape:
        yield f"can't broadcast {list(context.input(0).shape)} to {list(shape)}"


def _moves(context: OpContext) -> list[Move]:
    base = canvas(context.input(0))
    return [move(base, np.broadcast_to(base, integers(context, 1)))]


OP = move_operation("BROADCAST_TO", 3, (2, 2), basics=_check, moves=_moves)

"""TILE by constant multiples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.moves import Move, canvas, integers, move, move_operation
from device_runners.cgen.operation import OpContext


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.constant(context, 1, "multiples", TensorType.INT32, TensorType.INT64))
    yield from basics
    if basics:
        return
    multiples, shape = integers(context, 1), context.input(0).shape
    if len(multiples) != len(shape) or any(multiple < 1 for multiple in multiples):
        yield f"tiles {list(shape)} by {multiples}"


def _moves(context: OpContext) -> list[Move]:
    base, multiples = canvas(context.input(0)), integers(context, 1)
    apart = base.reshape([extent for size in base.shape for extent in (1, size)])
    pairs = zip(multiples, base.shape, strict=True)
    repeated = np.broadcast_to(apart, [extent for pair in pairs for extent in pair])
    shape = [size * multiple for size, multiple in zip(base.shape, multiples, strict=True)]
    return [move(base, repeated, shape)]


OP = move_operation("TILE", 3, (2, 2), basics=_check, moves=_moves)

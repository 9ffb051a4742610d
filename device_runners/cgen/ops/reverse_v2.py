"""REVERSE_V2 along constant axes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.moves import Move, canvas, integers, move, move_operation
from device_runners.cgen.operation import OpContext


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.constant(context, 1, "axes", TensorType.INT32))
    yield from basics
    if basics:
        return
    rank = len(context.input(0).shape)
    axes = sorted(axis + rank if axis < 0 else axis for axis in integers(context, 1))
    # The reference takes neighbouring axes only.
    neighbours = list(range(axes[0], axes[0] + len(axes))) if axes else []
    if not axes or axes != neighbours or axes[0] < 0 or axes[-1] >= rank:
        yield f"reverses the axes {integers(context, 1)} of {rank} dimensions"


def _moves(context: OpContext) -> list[Move]:
    base = canvas(context.input(0))
    return [move(base, np.flip(base, integers(context, 1)))]


OP = move_operation("REVERSE_V2", 3, (2, 2), basics=_check, moves=_moves, int16=True)

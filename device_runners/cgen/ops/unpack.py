"""UNPACK: one output for each index along an axis."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.options import UnpackOptions
from device_runners.cgen import checks
from device_runners.cgen.moves import Move, axis_of, canvas, move, move_operation
from device_runners.cgen.operation import OpContext


def _axis(context: OpContext) -> int | None:
    options = context.operator.options
    axis = options.axis if isinstance(options, UnpackOptions) else 0
    return axis_of(axis, len(context.input(0).shape))


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.options(context, UnpackOptions))
    yield from basics
    if not basics and _axis(context) is None:
        yield f"unpacks {list(context.input(0).shape)} along an axis that it doesn't have"


def _moves(context: OpContext) -> list[Move]:
    base = canvas(context.input(0))
    slices = np.moveaxis(base, _axis(context) or 0, 0)
    return [move(base, slices[i, ...]) for i in range(len(slices))]


OP = move_operation("UNPACK", 4, (1, 1), basics=_check, moves=_moves, outputs=(1, None), int16=True)

"""SLICE with constant begin and size."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.moves import Move, canvas, integers, move, move_operation
from device_runners.cgen.operation import OpContext

_MAX_DIMENSIONS = 5  # of the reference


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.constant(context, 1, "begin values", TensorType.INT32, TensorType.INT64),
        *checks.constant(context, 2, "sizes", TensorType.INT32, TensorType.INT64),
    ]
    yield from basics
    if basics:
        return
    shape = context.input(0).shape
    begins, sizes = integers(context, 1), integers(context, 2)
    if len(begins) != len(shape) or len(sizes) != len(shape) or len(shape) > _MAX_DIMENSIONS:
        yield f"slices {list(shape)} from {begins}, sizes {sizes}"
        return
    for extent, begin, size in zip(shape, begins, sizes, strict=True):
        if not 0 <= begin < extent or not (size == -1 or 1 <= size <= extent - begin):
            yield f"slices {list(shape)} from {begins}, sizes {sizes}, which is out of range"
            return


def _moves(context: OpContext) -> list[Move]:
    base = canvas(context.input(0))
    begins, sizes = integers(context, 1), integers(context, 2)
    ranges = tuple(
        slice(begin, None if size == -1 else begin + size)
        for begin, size in zip(begins, sizes, strict=True)
    )
    return [move(base, base[ranges])]


OP = move_operation("SLICE", 5, (3, 3), basics=_check, moves=_moves, int16=True)

"""TRANSPOSE by a constant permutation."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.moves import Move, axis_of, canvas, integers, move, move_operation
from device_runners.cgen.operation import OpContext

_MAX_DIMENSIONS = 6  # of the reference


def _permutation(context: OpContext) -> list[int | None]:
    rank = len(context.input(0).shape)
    return [axis_of(axis, rank) for axis in integers(context, 1)]


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.constant(context, 1, "permutation", TensorType.INT32))
    yield from basics
    if basics:
        return
    rank, axes = len(context.input(0).shape), _permutation(context)
    if set(axes) != set(range(rank)) or len(axes) != rank:
        yield f"permutes {rank} dimensions by {integers(context, 1)}"
    if rank > _MAX_DIMENSIONS:
        yield f"permutes {rank} dimensions; {_MAX_DIMENSIONS} are supported"


def _moves(context: OpContext) -> list[Move]:
    base = canvas(context.input(0))
    return [move(base, base.transpose([axis or 0 for axis in _permutation(context)]))]


OP = move_operation("TRANSPOSE", 5, (2, 2), basics=_check, moves=_moves, int16=True)

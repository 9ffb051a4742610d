"""DEPTH_TO_SPACE."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.options import DepthToSpaceOptions
from device_runners.cgen import checks
from device_runners.cgen.moves import Move, canvas, move, move_operation
from device_runners.cgen.operation import OpContext


def _block(context: OpContext) -> int:
    options = context.operator.options
    return options.block_size if isinstance(options, DepthToSpaceOptions) else 0


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.options(context, DepthToSpaceOptions),
        *checks.rank(context.input(0), 4, "input 0"),
    ]
    yield from basics
    if basics:
        return
    block, channels = _block(context), context.input(0).shape[3]
    if block < 1 or channels % (block * block):
        yield f"has blocks of {block} in {channels} channels"


def _moves(context: OpContext) -> list[Move]:
    base, block = canvas(context.input(0)), _block(context)
    batches, height, width, channels = base.shape
    depth = channels // (block * block)
    apart = base.reshape(batches, height, width, block, block, depth)
    shape = (batches, height * block, width * block, depth)
    return [move(base, apart.transpose(0, 1, 3, 2, 4, 5), shape)]


OP = move_operation("DEPTH_TO_SPACE", 2, (1, 1), basics=_check, moves=_moves)

"""SPACE_TO_DEPTH."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.options import SpaceToDepthOptions
from device_runners.cgen import checks
from device_runners.cgen.moves import Move, canvas, move, move_operation
from device_runners.cgen.operation import OpContext


def _block(context: OpContext) -> int:
    options = context.operator.options
    return options.block_size if isinstance(options, SpaceToDepthOptions) else 0


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.options(context, SpaceToDepthOptions),
        *checks.rank(context.input(0), 4, "input 0"),
    ]
    yield from basics
    if basics:
        return
    block, (_, height, width, _) = _block(context), context.input(0).shape
    if block < 1 or height % block or width % block:
        yield f"has blocks of {block} in {height}x{width}"


def _moves(context: OpContext) -> list[Move]:
    base, block = canvas(context.input(0)), _block(context)
    batches, height, width, channels = base.shape
    rows, columns = height // block, width // block
    apart = base.reshape(batches, rows, block, columns, block, channels)
    shape = (batches, rows, columns, block * block * channels)
    return [move(base, apart.transpose(0, 1, 3, 2, 4, 5), shape)]


OP = move_operation("SPACE_TO_DEPTH", 2, (1, 1), basics=_check, moves=_moves)

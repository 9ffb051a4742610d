"""BATCH_TO_SPACE_ND with constant blocks and crops."""

from __future__ import annotations

from collections.abc import Iterator

from device_runners.cgen import checks
from device_runners.cgen.batches import blocks_of, check_blocks
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.taking import take_emission


def _uncropped(context: OpContext) -> list[int]:
    blocks = blocks_of(context)
    return [size * block for size, block in zip(blocks.shape[1:3], blocks.block, strict=True)]


def _check(context: OpContext) -> Iterator[str]:
    basics = list(check_blocks(context, "crops"))
    yield from basics
    if basics:
        return
    blocks = blocks_of(context)
    images, _, _, channels = blocks.shape
    if images % (blocks.block[0] * blocks.block[1]):
        yield f"makes blocks of {blocks.block} of {images} images"
        return
    cropped = [
        size - sum(pair) for size, pair in zip(_uncropped(context), blocks.edges, strict=True)
    ]
    shape = (images // (blocks.block[0] * blocks.block[1]), *cropped, channels)
    whole = len(context.input(0).shape) == len(shape)
    yield from checks.output_shape(context, shape if whole else (shape[0], *shape[2:]))


def _emit(context: OpContext) -> Emission:
    blocks = blocks_of(context)
    images, height, width, channels = blocks.shape
    rows, columns = blocks.block
    batches, row = images // (rows * columns), width * channels
    # From a place of the block to the next one.
    step = batches * height * row
    ends = [
        range(before, size - after)
        for size, (before, after) in zip(_uncropped(context), blocks.edges, strict=True)
    ]
    offsets = [
        [batch * height * row for batch in range(batches)],
        [y % rows * columns * step + y // rows * row for y in ends[0]],
        [x % columns * step + x // columns * channels for x in ends[1]],
    ]
    return take_emission(context, offsets, channels, f"blocks of {rows}x{columns}")


OP = Operation("BATCH_TO_SPACE_ND", versions=3, inputs=(3, 3), check=_check, emit=_emit)

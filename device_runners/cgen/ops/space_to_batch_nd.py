"""SPACE_TO_BATCH_ND with constant blocks and paddings; the padding is real 0, the zero point."""

from __future__ import annotations

from collections.abc import Iterator

from device_runners.cgen import checks
from device_runners.cgen.batches import blocks_of, check_blocks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation


def _padded(context: OpContext) -> tuple[int, int]:
    blocks = blocks_of(context)
    (top, bottom), (left, right) = blocks.edges
    return blocks.shape[1] + top + bottom, blocks.shape[2] + left + right


def _check(context: OpContext) -> Iterator[str]:
    basics = list(check_blocks(context, "paddings"))
    yield from basics
    if basics:
        return
    blocks, padded = blocks_of(context), _padded(context)
    batches, _, _, channels = blocks.shape
    if any(size % block for size, block in zip(padded, blocks.block, strict=True)):
        yield f"has blocks of {blocks.block} in {padded[0]}x{padded[1]}, the padding included"
        return
    rows, columns = (size // block for size, block in zip(padded, blocks.block, strict=True))
    images = batches * blocks.block[0] * blocks.block[1]
    shape = (images, rows, columns, channels)
    yield from checks.output_shape(
        context, shape if len(context.input(0).shape) == len(shape) else (images, *shape[2:])
    )


def _emit(context: OpContext) -> Emission:
    blocks, padded = blocks_of(context), _padded(context)
    batches, height, width, channels = blocks.shape
    params: dict[str, object] = {
        "batches": batches,
        "height": height,
        "width": width,
        "channels": channels,
        "block_height": blocks.block[0],
        "block_width": blocks.block[1],
        "pad_top": blocks.edges[0][0],
        "pad_left": blocks.edges[1][0],
        "output_height": padded[0] // blocks.block[0],
        "output_width": padded[1] // blocks.block[1],
        "value": context.output.zero_point,
    }
    name = "tidepool_space_to_batch"
    call = KernelCall(name, f"{name}_params", params, (context.input(0).index,))
    summary = f"blocks of {blocks.block[0]}x{blocks.block[1]}"
    return Emission("space_to_batch", (call,), summary, operand_arrays(context, 0))


OP = Operation("SPACE_TO_BATCH_ND", versions=3, inputs=(3, 3), check=_check, emit=_emit)

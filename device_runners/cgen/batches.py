"""SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: what they have in common.

Every n-th row and column become images of their own, or go back. TensorFlow writes a dilated
convolution as such a pair around a plain one where it can't tell the batch, Conv1D's among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.operation import OpContext

_RANKS = 3, 4  # of the reference


@dataclass(frozen=True)
class Blocks:
    """The operands for images: signals of one dimension are images of one row.

    Attributes:
        shape: (batches, height, width, channels) of the input.
        block: (rows, columns) of a block.
        edges: (before, after) of rows and of columns: what is padded, or cropped.
    """

    shape: tuple[int, int, int, int]
    block: tuple[int, int]
    edges: tuple[tuple[int, int], tuple[int, int]]


def check_blocks(context: OpContext, edges: str) -> Iterator[str]:
    """What must hold before ``blocks_of`` can be asked.

    Args:
        context: The operator.
        edges: What the third operand is called.
    """
    basics = [
        *checks.int8_activations(context),
        *checks.constant(context, 1, "block shape", TensorType.INT32),
        *checks.constant(context, 2, edges, TensorType.INT32),
    ]
    yield from basics
    if basics:
        return
    yield from checks.same_quantization(context.input(0), context.output, "input and output")
    rank, block, pairs = len(context.input(0).shape), context.data(1), context.data(2)
    if rank not in _RANKS:
        yield f"has an input of {rank} dimensions; 3 and 4 are supported"
    elif block.shape != (rank - 2,) or pairs.shape != (rank - 2, 2):
        yield f"has blocks {block.tolist()} and {edges} {pairs.tolist()} for {rank} dimensions"
    elif block.min() < 1 or pairs.min() < 0:
        yield f"has blocks {block.tolist()} and {edges} {pairs.tolist()}"


def blocks_of(context: OpContext) -> Blocks:
    """The operands of an operator that ``check_blocks`` has nothing against."""
    shape, block, pairs = (
        list(context.input(0).shape),
        context.data(1).tolist(),
        context.data(2).tolist(),
    )
    if len(shape) == min(_RANKS):
        shape, block, pairs = [shape[0], 1, *shape[1:]], [1, *block], [[0, 0], *pairs]
    batches, height, width, channels = shape
    (top, bottom), (left, right) = pairs
    rows, columns = block
    return Blocks(
        (batches, height, width, channels), (rows, columns), ((top, bottom), (left, right))
    )

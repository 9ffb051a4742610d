"""What ADD and MUL and their like share: broadcasting, and operands in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converters.tflite.graph import Tensor
from device_runners.cgen import checks
from device_runners.cgen.c_text import c_type
from device_runners.cgen.operation import (
    ConstantArray,
    OpContext,
)

MAX_BROADCAST_DIMENSIONS = 6
"""Of the reference, and of ``tidepool_broadcast``."""


def broadcast_shape(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...] | None:
    """The common shape, the last dimensions aligned; None if the shapes don't go together."""
    size = max(len(first), len(second))
    pairs = list(zip(_padded(first, size), _padded(second, size), strict=True))
    if any(a != b and 1 not in (a, b) for a, b in pairs):
        return None
    return tuple(max(pair) for pair in pairs)


def _padded(shape: Sequence[int], size: int) -> tuple[int, ...]:
    return (1,) * (size - len(shape)) + tuple(shape)


def broadcast_params(first: Tensor, second: Tensor) -> dict[str, tuple[int, ...]]:
    """The fields of ``tidepool_broadcast``, neighbouring dimensions merged where possible.

    Two dimensions merge if stepping through both is one longer run in either operand; operands of
    one shape become a single dimension.
    """
    size = max(len(first.shape), len(second.shape))
    shapes = _padded(first.shape, size), _padded(second.shape, size)
    strides = [_strides(shape) for shape in shapes]
    merged: list[tuple[int, int, int]] = []
    for dimensions, one, two in zip(zip(*shapes, strict=True), *strides, strict=True):
        extent = max(dimensions)
        if extent == 1:
            continue
        if merged:
            outer, outer_one, outer_two = merged[-1]
            if outer_one == one * extent and outer_two == two * extent:
                merged[-1] = (outer * extent, one, two)
                continue
        merged.append((extent, one, two))
    merged = [(1, 0, 0)] * (MAX_BROADCAST_DIMENSIONS - len(merged)) + merged
    sizes, strides_1, strides_2 = zip(*merged, strict=True)
    return {"sizes": sizes, "strides_1": strides_1, "strides_2": strides_2}


def _strides(shape: Sequence[int]) -> list[int]:
    """Strides in elements; 0 where a dimension of 1 is repeated."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(0 if extent == 1 else step)
        step *= extent
    return strides[::-1]


def check_broadcast(context: OpContext) -> Iterator[str]:
    """Shapes that broadcast to the output's, in at most six dimensions."""
    first, second = context.input(0), context.input(1)
    shape = broadcast_shape(first.shape, second.shape)
    if shape is None:
        yield f"can't broadcast {list(first.shape)} and {list(second.shape)}"
        return
    if len(shape) > MAX_BROADCAST_DIMENSIONS and first.shape != second.shape:
        yield f"broadcasts {len(shape)} dimensions; {MAX_BROADCAST_DIMENSIONS} are supported"
    yield from checks.output_shape(context, shape)


def in_place_operands(context: OpContext) -> tuple[int, ...]:
    """Operands of the output's size: element i is read before it is written, and never again."""
    return tuple(
        dict.fromkeys(
            tensor.index
            for tensor in (context.input(0), context.input(1))
            if tensor.elements == context.output.elements
        )
    )


def operand_arrays(context: OpContext, *positions: int) -> tuple[ConstantArray, ...]:
    """The arrays of those data operands that are constant."""
    return constant_arrays(*(context.input(position) for position in positions))


def constant_arrays(*tensors: Tensor) -> tuple[ConstantArray, ...]:
    """The arrays of those tensors that are constant."""
    return tuple(
        ConstantArray(f"t{tensor.index}_data", c_type(tensor.type), tensor.data, tensor.name)
        for tensor in tensors
        if tensor.data is not None
    )

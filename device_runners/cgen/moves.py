"""Operators that only move values: their output is a strided view of their input.

An op says which view by NumPy's own slicing, transposing and broadcasting of an array of the
input's shape; its strides are what ``tidepool_strided_copy`` needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from converters.tflite.graph import Array, Tensor, TensorType
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation

MAX_DIMENSIONS = 7
"""``TIDEPOOL_MAX_MOVE_DIMENSIONS``."""


@dataclass(frozen=True)
class Move:
    """One output of such an operator.

    Attributes:
        first: The offset of its first element in the input.
        dimensions: (size, stride) in elements, outermost first, neighbours merged where possible.
        run: How many elements lie side by side at each place.
        shape: The shape that the op computes.
    """

    first: int
    dimensions: tuple[tuple[int, int], ...]
    run: int
    shape: tuple[int, ...]


def canvas(tensor: Tensor) -> Array:
    """An array of a tensor's shape, to take a view of."""
    return np.zeros(tensor.shape, np.int8)


def move(base: Array, view: Array, shape: Sequence[int] | None = None) -> Move:
    """The move that a view of a canvas stands for.

    Args:
        base: The canvas.
        view: A view of it.
        shape: The output's shape, if not the view's own.
    """
    address = view.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    merged: list[tuple[int, int]] = []
    for size, stride in zip(view.shape, view.strides, strict=True):
        if size == 1:
            continue
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    run = merged.pop()[0] if merged and merged[-1][1] == 1 else 1
    return Move(address, tuple(merged), run, tuple(view.shape if shape is None else shape))


Moves = Callable[[OpContext], Sequence[Move]]
Check = Callable[[OpContext], Iterator[str]]


def move_operation(
    opcode: str,
    versions: int,
    inputs: tuple[int, int | None],
    *,
    basics: Check,
    moves: Moves,
    operand: int = 0,
    outputs: tuple[int, int | None] = (1, 1),
    int16: bool = False,
) -> Operation:
    """An op that only moves values.

    Args:
        opcode: The op.
        versions: Its versions, up to this one.
        inputs: Fewest and most inputs.
        basics: What must hold before ``moves`` can be asked, beside an operand and an output of a
            supported type.
        moves: A move for each output.
        operand: Which input is moved.
        outputs: Fewest and most outputs.
        int16: Whether the reference has it for int16, too.
    """

    def check(context: OpContext) -> Iterator[str]:
        wide = int16 and context.output.type is TensorType.INT16
        activations, checked = (
            (checks.int16_activations, checks.int16_tensor)
            if wide
            else (checks.int8_activations, checks.int8_tensor)
        )
        types = list(activations(context, (operand,)))
        for tensor in context.outputs[1:]:
            types += checked(tensor, "output")
        yield from types
        found = [] if types else list(basics(context))
        yield from found
        if types or found:
            return
        made = moves(context)
        if len(made) != len(context.outputs):
            yield f"has {len(context.outputs)} outputs, but computes {len(made)}"
            return
        for one, output in zip(made, context.outputs, strict=True):
            yield from _check_move(context, one, output)

    def emit(context: OpContext) -> Emission:
        calls = tuple(
            _call(context.input(operand), one, position)
            for position, one in enumerate(moves(context))
        )
        return Emission("strided_copy", calls, constants=operand_arrays(context, operand))

    def _check_move(context: OpContext, one: Move, output: Tensor) -> Iterator[str]:
        yield from checks.same_quantization(context.input(operand), output, "input and output")
        if one.shape != tuple(output.shape) or 0 in one.shape:
            yield f"has the output shape {list(output.shape)}, but computes {list(one.shape)}"
        if len(one.dimensions) > MAX_DIMENSIONS:
            count = len(one.dimensions)
            yield f"moves blocks of {count} dimensions; {MAX_DIMENSIONS} are supported"

    return Operation(opcode, versions, inputs, check, emit, outputs, int16)


def _call(source: Tensor, one: Move, position: int) -> KernelCall:
    unused = MAX_DIMENSIONS - len(one.dimensions)
    dimensions = ((1, 0),) * unused + one.dimensions
    element = source.type.dtype.itemsize
    params: dict[str, object] = {  # in bytes
        "sizes": tuple(size for size, _ in dimensions),
        "strides": tuple(stride * element for _, stride in dimensions),
        "first": one.first * element,
        "run": one.run * element,
    }
    return KernelCall(
        "tidepool_strided_copy",
        "tidepool_strided_copy_params",
        params,
        (source.index,),
        output=position,
    )


def axis_of(value: int, dimensions: int) -> int | None:
    """An axis counted from the front; None if there is no such axis."""
    axis = value + dimensions if value < 0 else value
    return axis if 0 <= axis < dimensions else None


def integers(context: OpContext, position: int) -> list[int]:
    """The values of a constant operand of integers."""
    return [int(value) for value in context.data(position).ravel()]

"""STRIDED_SLICE with constant begin, end and strides, and all masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from converters.tflite.graph import Array, TensorType
from converters.tflite.options import StridedSliceOptions
from device_runners.cgen import checks
from device_runners.cgen.moves import Move, canvas, integers, move, move_operation
from device_runners.cgen.operation import OpContext

_MAX_DIMENSIONS = 5  # of the reference, added ones included


def _options(context: OpContext) -> StridedSliceOptions:
    options = context.operator.options
    return options if isinstance(options, StridedSliceOptions) else StridedSliceOptions()


def _index(context: OpContext) -> tuple[Any, ...]:
    """The slice as NumPy writes it: ``x[..., 1:5:2, None, 3]``."""
    options = _options(context)
    index: list[Any] = []
    specs = zip(*(integers(context, position) for position in (1, 2, 3)), strict=True)
    for position, (begin, end, stride) in enumerate(specs):
        bit = 1 << position
        if options.ellipsis_mask & bit:
            index.append(Ellipsis)
        elif options.new_axis_mask & bit:
            index.append(None)
        elif options.shrink_axis_mask & bit:
            index.append(begin)
        else:
            first = None if options.begin_mask & bit else begin
            last = None if options.end_mask & bit else end
            index.append(slice(first, last, stride))
    return tuple(index)


def _view(context: OpContext, base: Array) -> Array:
    view: Array = base[_index(context)]
    return view


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.options(context, StridedSliceOptions))
    for position, role in ((1, "begin values"), (2, "end values"), (3, "strides")):
        basics += checks.constant(context, position, role, TensorType.INT32)
    yield from basics
    if basics:
        return
    begins, ends, strides = (integers(context, position) for position in (1, 2, 3))
    if not len(begins) == len(ends) == len(strides) or 0 in strides:
        yield f"slices from {begins} to {ends} by {strides}"
        return
    options, shape = _options(context), context.input(0).shape
    if options.offset:
        yield "has ends that are relative to its begins"
    if options.shrink_axis_mask & options.begin_mask:
        yield "has a begin that is both masked and the index of a dropped axis"
        return
    try:
        view = _view(context, canvas(context.input(0)))
    except IndexError:
        yield f"slices {list(shape)} from {begins} to {ends} by {strides}, which is out of range"
        return
    if view.size == 0:
        yield f"slices nothing of {list(shape)}"
    if len(shape) + options.new_axis_mask.bit_count() > _MAX_DIMENSIONS:
        yield f"slices more than {_MAX_DIMENSIONS} dimensions"


def _moves(context: OpContext) -> list[Move]:
    base = canvas(context.input(0))
    # An index of integers only would give a number; an ellipsis keeps it a view.
    view = _view(context, base)
    if not isinstance(view, type(base)):
        index = _index(context)
        view = base[index if Ellipsis in index else (*index, Ellipsis)]
    return [move(base, view)]


OP = move_operation("STRIDED_SLICE", 4, (4, 4), basics=_check, moves=_moves, int16=True)

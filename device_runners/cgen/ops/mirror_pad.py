"""MIRROR_PAD, REFLECT and SYMMETRIC, with constant paddings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from converters.tflite.graph import TensorType
from converters.tflite.options import OtherOptions
from device_runners.cgen import checks
from device_runners.cgen.moves import MAX_DIMENSIONS
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.taking import take_emission

_REFLECT, _SYMMETRIC = 0, 1


def _mode(context: OpContext) -> int | None:
    options = context.operator.options
    if not isinstance(options, OtherOptions) or options.table != "MirrorPadOptions":
        return None
    return int(dict(options.fields).get("mode", _REFLECT))


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.activations(context),
        *checks.constant(context, 1, "paddings", TensorType.INT32, TensorType.INT64),
    ]
    mode = _mode(context)
    if mode not in (_REFLECT, _SYMMETRIC):
        basics.append("has no MirrorPadOptions")
    yield from basics
    if basics:
        return
    source, paddings = context.input(0), context.data(1)
    rank = len(source.shape)
    if paddings.shape != (rank, 2) or not 1 <= rank <= MAX_DIMENSIONS:
        yield f"has the paddings {paddings.tolist()} for {rank} dimensions"
        return
    for size, pair in zip(source.shape, paddings.tolist(), strict=True):
        if not 0 <= min(pair) <= max(pair) <= size - (mode == _REFLECT):
            yield f"pads {size} elements by {pair}, more than it can mirror"
            return
    yield from checks.same_quantization(source, context.output, "input and output")
    padded = zip(source.shape, paddings.tolist(), strict=True)
    yield from checks.output_shape(context, [size + sum(pair) for size, pair in padded])


def _mirrored(size: int, padding: Sequence[int], edge: int) -> list[int]:
    """The source of each index; ``edge`` is 1 where the outermost element is not repeated."""
    before, after = padding
    front = [edge + distance for distance in reversed(range(before))]
    return [*front, *range(size), *(size - 1 - edge - distance for distance in range(after))]


def _emit(context: OpContext) -> Emission:
    shape, paddings = context.input(0).shape, context.data(1).tolist()
    edge = int(_mode(context) == _REFLECT)
    dense = len(shape)  # from here on nothing is padded
    while dense > 0 and paddings[dense - 1] == [0, 0]:
        dense -= 1
    offsets = [
        [
            index * math.prod(shape[axis + 1 :])
            for index in _mirrored(shape[axis], paddings[axis], edge)
        ]
        for axis in range(dense)
    ]
    return take_emission(context, offsets, math.prod(shape[dense:]), f"by {paddings}")


OP = Operation("MIRROR_PAD", versions=3, inputs=(2, 2), check=_check, emit=_emit, int16=True)

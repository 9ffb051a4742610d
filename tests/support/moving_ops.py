"""Random operators that only move values, for ``more_graphs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support.graphs import RandomGraph, Value

from converters.tflite.options import (
    DepthToSpaceOptions,
    GatherOptions,
    OtherOptions,
    PackOptions,
    ResizeBilinearOptions,
    ResizeNearestNeighborOptions,
    SpaceToDepthOptions,
    SplitOptions,
    SplitVOptions,
    SqueezeOptions,
    StridedSliceOptions,
    UnpackOptions,
)

_MAX_RANK = 4


def _same(
    g: RandomGraph,
    x: Value,
    opcode: str,
    inputs: Sequence[int],
    options: Any,
    shape: Sequence[int],
    version: int = 1,
) -> None:
    g.add(opcode, inputs, options, shape, x.scale, x.zero_point, version)


def integers(g: RandomGraph, values: Sequence[int], *, wide: bool = False) -> int:
    dtype = np.int64 if wide and g.chance(0.3) else np.int32
    return g.builder.constant(np.array(values, dtype))


def _several(
    g: RandomGraph,
    x: Value,
    opcode: str,
    inputs: Sequence[int],
    options: Any,
    shapes: Sequence[Sequence[int]],
) -> None:
    """Appends an operator with several outputs in the quantization of ``x``."""
    outputs = [
        g.builder.tensor(shape, g.type, scales=[x.scale], zero_points=[x.zero_point])
        for shape in shapes
    ]
    g.builder.operator(opcode, inputs, options, outputs, version=1)
    g.consumed.update(inputs)
    for index, shape in zip(outputs, shapes, strict=True):
        g.values.append(Value(index, tuple(shape), x.scale, x.zero_point))


def reshape_to(g: RandomGraph, x: Value, shape: Sequence[int]) -> None:
    """EXPAND_DIMS or SQUEEZE in all but name."""
    _same(g, x, "RESHAPE", [x.index, integers(g, shape)], None, shape)


def expand_dims(g: RandomGraph, x: Value) -> None:
    if len(x.shape) >= _MAX_RANK:
        squeeze(g, x)
        return
    axis = g.between(0, len(x.shape))
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    written = axis - len(shape) if g.chance(0.3) else axis
    _same(g, x, "EXPAND_DIMS", [x.index, integers(g, [written])], None, shape)


def squeeze(g: RandomGraph, x: Value) -> None:
    ones = [d for d, size in enumerate(x.shape) if size == 1][: len(x.shape) - 1]
    shape = [size for d, size in enumerate(x.shape) if d not in ones]
    _same(g, x, "SQUEEZE", [x.index], SqueezeOptions(tuple(ones)), shape)


def transpose(g: RandomGraph, x: Value) -> None:
    order = [int(axis) for axis in g.rng.permutation(len(x.shape))]
    shape = [x.shape[axis] for axis in order]
    _same(g, x, "TRANSPOSE", [x.index, integers(g, order)], None, shape, 2)


def slice_(g: RandomGraph, x: Value) -> None:
    begins = [g.between(0, size - 1) for size in x.shape]
    sizes = [g.between(1, n - begin) for n, begin in zip(x.shape, begins, strict=True)]
    written = [
        -1 if begin + size == n and g.chance(0.5) else size
        for n, begin, size in zip(x.shape, begins, sizes, strict=True)
    ]
    inputs = [x.index, integers(g, begins), integers(g, written)]
    _same(g, x, "SLICE", inputs, None, sizes, 2)


def strided_slice(g: RandomGraph, x: Value) -> None:
    specs, shape = [], []
    masks = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0}
    for axis, size in enumerate(x.shape):
        stride = g.pick((1, 1, 2, 3, -1, -2))
        begin, end = g.between(-size - 1, size), g.between(-size - 1, size + 1)
        bit, kept = 1 << axis, slice(begin, end, stride)
        if g.chance(0.2) and len(x.shape) - axis + len(shape) > 1:
            masks["shrink_axis_mask"] |= bit
            specs.append((g.between(-size, size - 1), 0, 1))
            continue
        if g.chance(0.4) or not range(*kept.indices(size)):
            masks["begin_mask"] |= bit
            masks["end_mask"] |= bit
            kept = slice(None, None, stride)
        specs.append((begin, end, stride))
        shape.append(len(range(*kept.indices(size))))
    inputs = [x.index, *(integers(g, values) for values in zip(*specs, strict=True))]
    _same(g, x, "STRIDED_SLICE", inputs, StridedSliceOptions(**masks), shape, 2)


def split(g: RandomGraph, x: Value) -> None:
    axis = g.between(0, len(x.shape) - 1)
    parts = g.pick([d for d in range(1, x.shape[axis] + 1) if x.shape[axis] % d == 0])
    parts = min(parts, 4) if x.shape[axis] % min(parts, 4) == 0 else 1
    shape = list(x.shape)
    shape[axis] //= parts
    inputs = [integers(g, [axis - len(shape) if g.chance(0.3) else axis]), x.index]
    _several(g, x, "SPLIT", inputs, SplitOptions(parts), [shape] * parts)


def split_v(g: RandomGraph, x: Value) -> None:
    axis = g.between(0, len(x.shape) - 1)
    sizes = [g.between(1, x.shape[axis])]
    if sizes[0] < x.shape[axis]:
        sizes.append(x.shape[axis] - sizes[0])
    shapes = [[*x.shape[:axis], size, *x.shape[axis + 1 :]] for size in sizes]
    written = [*sizes[:-1], -1] if g.chance(0.3) else sizes
    inputs = [x.index, integers(g, written), integers(g, [axis])]
    _several(g, x, "SPLIT_V", inputs, SplitVOptions(len(sizes)), shapes)


def pack(g: RandomGraph, x: Value) -> None:
    if len(x.shape) >= _MAX_RANK:
        unpack(g, x)
        return
    axis = g.between(0, len(x.shape))
    parts = [x.index] + [_partner_of_shape(g, x).index for _ in range(g.between(0, 2))]
    shape = (*x.shape[:axis], len(parts), *x.shape[axis:])
    written = axis - len(shape) if g.chance(0.3) else axis
    _same(g, x, "PACK", parts, PackOptions(len(parts), written), shape)


def _partner_of_shape(g: RandomGraph, x: Value) -> Value:
    quantization = (x.scale, x.zero_point)
    alike = [v for v in g.values if (v.shape, (v.scale, v.zero_point)) == (x.shape, quantization)]
    return g.pick(alike) if g.chance(0.5) else g.constant(x.shape, *quantization)


def unpack(g: RandomGraph, x: Value) -> None:
    axes = [axis for axis, size in enumerate(x.shape) if size <= 4]
    if len(x.shape) < 2 or not axes:
        transpose(g, x)
        return
    axis = g.pick(axes)
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    options = UnpackOptions(x.shape[axis], axis - len(x.shape) if g.chance(0.3) else axis)
    _several(g, x, "UNPACK", [x.index], options, [shape] * x.shape[axis])


def tile(g: RandomGraph, x: Value) -> None:
    multiples = [g.pick((1, 1, 2, 3)) for _ in x.shape]
    shape = [size * multiple for size, multiple in zip(x.shape, multiples, strict=True)]
    inputs = [x.index, integers(g, multiples, wide=True)]
    _same(g, x, "TILE", inputs, None, shape)


def broadcast_to(g: RandomGraph, x: Value) -> None:
    shape = [g.between(2, 4) if size == 1 and g.chance(0.7) else size for size in x.shape]
    if len(shape) < _MAX_RANK and g.chance(0.4):
        shape = [g.between(1, 3), *shape]
    inputs = [x.index, integers(g, shape, wide=True)]
    _same(g, x, "BROADCAST_TO", inputs, None, shape, 2)


def reverse_v2(g: RandomGraph, x: Value) -> None:
    inputs = [x.index, integers(g, [g.between(0, len(x.shape) - 1)])]
    _same(g, x, "REVERSE_V2", inputs, None, x.shape)


def gather(g: RandomGraph, x: Value) -> None:
    axis = g.between(0, len(x.shape) - 1)
    shape: tuple[int, ...] = (g.between(1, 5),)
    if len(x.shape) < _MAX_RANK and g.chance(0.3):
        shape = (2, g.between(1, 3))
    indices = g.rng.integers(0, x.shape[axis], shape)
    options = GatherOptions(axis=axis - len(x.shape) if g.chance(0.3) else axis)
    output = (*x.shape[:axis], *shape, *x.shape[axis + 1 :])
    inputs = [x.index, g.builder.constant(indices.astype(np.int32))]
    _same(g, x, "GATHER", inputs, options, output, 2)


def mirror_pad(g: RandomGraph, x: Value) -> None:
    mode = g.between(0, 1)
    paddings = [
        [g.between(0, min(3, size - 1 + mode)) if g.chance(0.7) else 0 for _ in range(2)]
        for size in x.shape
    ]
    shape = [size + sum(pair) for size, pair in zip(x.shape, paddings, strict=True)]
    inputs = [x.index, g.builder.constant(np.array(paddings, np.int32))]
    options = OtherOptions("MirrorPadOptions", (("mode", mode),))
    _same(g, x, "MIRROR_PAD", inputs, options, shape)


def space_to_depth(g: RandomGraph, x: Value) -> None:
    batch, height, width, channels = x.shape
    block = g.pick([b for b in range(1, 5) if height % b == 0 and width % b == 0])
    shape = (batch, height // block, width // block, channels * block * block)
    _same(g, x, "SPACE_TO_DEPTH", [x.index], SpaceToDepthOptions(block), shape)


def depth_to_space(g: RandomGraph, x: Value) -> None:
    batch, height, width, channels = x.shape
    block = g.pick([b for b in range(1, 5) if channels % (b * b) == 0])
    shape = (batch, height * block, width * block, channels // (block * block))
    _same(g, x, "DEPTH_TO_SPACE", [x.index], DepthToSpaceOptions(block), shape)


def space_to_batch(g: RandomGraph, x: Value) -> None:
    """With what brings the batches back, as they are about a dilated convolution."""
    signal = x.shape[1] == 1 and g.chance(0.7)
    if signal:
        reshape_to(g, x, (x.shape[0], *x.shape[2:]))
        x = g.values[-1]
    sizes = np.array(x.shape[1:-1])
    block = np.array([g.between(1, 3) for _ in sizes])
    before = np.array([g.between(0, 2) for _ in sizes])
    after = -(sizes + before) % block + block * g.between(0, 1)
    inner = (sizes + before + after) // block
    images = x.shape[0] * int(block.prod())
    version = 3 if signal else 2

    def add(opcode: str, edges: np.ndarray, batches: int, shape: np.ndarray) -> None:
        inputs = [g.values[-1].index if opcode[0] == "B" else x.index, integers(g, block)]
        inputs.append(g.builder.constant(edges.astype(np.int32)))
        _same(g, x, opcode, inputs, None, (batches, *shape.tolist(), x.shape[-1]), version)

    paddings = np.stack([before, after], axis=1)
    add("SPACE_TO_BATCH_ND", paddings, images, inner)
    if g.chance(0.8):
        crops = g.rng.integers(0, paddings + 1)
        add("BATCH_TO_SPACE_ND", crops, x.shape[0], inner * block - crops.sum(axis=1))


def resize_nearest_neighbor(g: RandomGraph, x: Value) -> None:
    options = ResizeNearestNeighborOptions(g.chance(0.3), g.chance(0.4))
    _resize(g, x, "RESIZE_NEAREST_NEIGHBOR", options)


def resize_bilinear(g: RandomGraph, x: Value) -> None:
    align = g.chance(0.3)
    options = ResizeBilinearOptions(align, not align and g.chance(0.5))
    _resize(g, x, "RESIZE_BILINEAR", options)


def _resize(g: RandomGraph, x: Value, opcode: str, options: Any) -> None:
    size = [g.pick((2 * n, g.between(1, 13))) for n in x.shape[1:3]]
    inputs = [x.index, integers(g, size)]
    _same(g, x, opcode, inputs, options, (x.shape[0], *size, x.shape[3]), 3)

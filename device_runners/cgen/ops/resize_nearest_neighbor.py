"""RESIZE_NEAREST_NEIGHBOR to a constant size."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from converters.tflite.options import ResizeNearestNeighborOptions
from device_runners.cgen import checks
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.resizing import check_resize
from device_runners.cgen.taking import take_emission


def _options(context: OpContext) -> ResizeNearestNeighborOptions:
    options = context.operator.options
    assert isinstance(options, ResizeNearestNeighborOptions)
    return options


def nearest(size: int, outputs: int, options: ResizeNearestNeighborOptions) -> list[int]:
    """The source of each row or column; the reference computes it in float32."""
    align = options.align_corners
    corners = align and outputs > 1
    scale = np.float32(size - corners) / np.float32(outputs - corners)
    offset = np.float32(0.5 if options.half_pixel_centers else 0)
    places = ((np.arange(outputs).astype(np.float32) + offset) * scale).tolist()
    sources = [math.floor(place + 0.5) if align else math.floor(place) for place in places]
    return [min(source, size - 1) for source in sources]


def _check(context: OpContext) -> Iterator[str]:
    yield from check_resize(context, ResizeNearestNeighborOptions, checks.activations)


def _emit(context: OpContext) -> Emission:
    batches, height, width, channels = context.input(0).shape
    _, rows, columns, _ = context.output.shape
    options = _options(context)
    offsets = [
        [batch * height * width * channels for batch in range(batches)],
        [row * width * channels for row in nearest(height, rows, options)],
        [column * channels for column in nearest(width, columns, options)],
    ]
    return take_emission(context, offsets, channels)


OP = Operation(
    "RESIZE_NEAREST_NEIGHBOR", versions=4, inputs=(2, 2), check=_check, emit=_emit, int16=True
)

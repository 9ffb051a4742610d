"""In which order a kernel reads its inputs and writes its output.

From the order follows how far an output may overlap an input in the arena: an element may be
written only where no input element lies that is still to be read (``overlap.py``). A pattern
describes a kernel for given sizes; ``accesses`` lists its writes and, for every input element, how
many writes come before its last read. Positions are in elements, of whatever size.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
NEVER = -1
"""In place of a number of writes: the element is not read at all."""


@dataclass(frozen=True, eq=False)
class Accesses:
    """What one call of a kernel does to memory.

    Attributes:
        writes: (n,) positions in the output, in the order in which they are written.
        last_reads: For each operand, by position: how many writes precede its last read.
    """

    writes: Positions
    last_reads: tuple[Positions, ...]


class AccessPattern(Hashable, Protocol):
    """A kernel's order for given sizes; hashable, so that its accesses are worked out once."""

    def accesses(self) -> Accesses:
        """The writes in order, and the last read of every input element."""


@dataclass(frozen=True)
class Elementwise:
    """Element i of each operand is last read before element i of the output is written."""

    count: int
    operands: int = 1

    def accesses(self) -> Accesses:
        order = np.arange(self.count)
        return Accesses(order, (order,) * self.operands)


@dataclass(frozen=True)
class Broadcast:
    """Two operands with the strides of ``tidepool_broadcast`` (0 repeats), row by row."""

    sizes: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]

    def accesses(self) -> Accesses:
        order = np.arange(math.prod(self.sizes))
        return Accesses(order, tuple(_last(_places(self.sizes, s), order) for s in self.strides))


@dataclass(frozen=True)
class Gather:
    """A dense output of runs that are copied with ``memcpy``, or one by one if ``run`` is 1.

    Attributes:
        sizes: The output's dimensions, in runs.
        strides: The input's strides in elements.
        first: The input's element that comes first.
        run: Elements of one run. Source and target of a run may not overlap at all.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    first: int
    run: int

    def accesses(self) -> Accesses:
        return _runs(_places(self.sizes, self.strides) + self.first, self.run)


@dataclass(frozen=True)
class Rows:
    """Rows of the input, copied with ``memcpy`` to places ``output_stride`` apart."""

    rows: int
    input_stride: int
    output_stride: int

    def accesses(self) -> Accesses:
        starts = np.arange(self.rows) * self.output_stride
        writes = (starts[:, None] + np.arange(self.input_stride)).ravel()
        ends = np.repeat((np.arange(self.rows) + 1) * self.input_stride, self.input_stride)
        return Accesses(writes, (ends,))


@dataclass(frozen=True)
class Padded:
    """PAD: the output from its first element to its last, the input's rows with ``memcpy``."""

    sizes: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    def accesses(self) -> Accesses:
        padded = [
            b + size + a for b, size, a in zip(self.before, self.sizes, self.after, strict=True)
        ]
        output = np.arange(math.prod(padded)).reshape(padded)
        inside = tuple(slice(b, b + size) for b, size in zip(self.before, self.sizes, strict=True))
        # A row is copied as a whole: its elements count as read until all of it is written.
        row_ends = output[inside][..., -1:] + 1
        reads = np.broadcast_to(row_ends, self.sizes).reshape(-1)
        return Accesses(output.reshape(-1), (np.array(reads),))


@dataclass(frozen=True)
class Reduce:
    """One output for each place of the kept dimensions, of all places of the reduced ones."""

    kept_sizes: tuple[int, ...]
    kept_strides: tuple[int, ...]
    reduced_sizes: tuple[int, ...]
    reduced_strides: tuple[int, ...]

    def accesses(self) -> Accesses:
        kept = _places(self.kept_sizes, self.kept_strides)
        reduced = _places(self.reduced_sizes, self.reduced_strides)
        order = np.arange(len(kept))
        places = kept[:, None] + reduced[None, :]
        return Accesses(order, (_last(places, order[:, None]),))


@dataclass(frozen=True)
class Dense:
    """FULLY_CONNECTED: a row of the input is read for each of its outputs.

    Attributes:
        batches: Rows.
        depth: Elements of an input row.
        channels: Elements of an output row.
        together: How many of them, the last ones of a row, come from the last reading of its input.
    """

    batches: int
    depth: int
    channels: int
    together: int = 1

    def accesses(self) -> Accesses:
        last = (np.arange(self.batches) + 1) * self.channels - self.together
        return Accesses(np.arange(self.batches * self.channels), (np.repeat(last, self.depth),))


@dataclass(frozen=True)
class Geometry:
    """The fields of ``tidepool_window``."""

    batches: int
    input_height: int
    input_width: int
    input_channels: int
    output_height: int
    output_width: int
    output_channels: int
    filter_height: int
    filter_width: int
    stride_height: int
    stride_width: int
    dilation_height: int
    dilation_width: int
    pad_top: int
    pad_left: int


@dataclass(frozen=True)
class Window:
    """A window that slides over images, NHWC, output pixels in row-major order.

    Attributes:
        geometry: Sizes.
        per_channel: Output channel c reads one input channel only (depthwise, pools).
        pixels: The most consecutive output pixels that are computed together.
        rows: Output rows within which the order is free, counted from row 0. 1: row by row.
        buffered: Whether everything that is computed together is read before the first of it is
            written; else the inputs may be read again until the last of it.
    """

    geometry: Geometry
    per_channel: bool = False
    pixels: int = 1
    rows: int = 1
    buffered: bool = False

    def accesses(self) -> Accesses:
        g = self.geometry
        pixel = self._last_pixels()
        image = g.output_height * g.output_width
        pixels = np.concatenate(
            [np.where(pixel < 0, NEVER, b * image + pixel) for b in range(g.batches)]
        )
        reads = self._reads(pixels, image * g.batches)
        writes = np.arange(image * g.batches * g.output_channels)
        return Accesses(writes, (reads.ravel(),))

    def _last_pixels(self) -> Positions:
        """For each input pixel of an image, the last output pixel that reads it, or ``NEVER``.

        The outputs that read a pixel are some rows times some columns: the last of both is last.
        """
        g = self.geometry
        row = _last_window(
            g.input_height,
            g.output_height,
            g.filter_height,
            g.stride_height,
            g.dilation_height,
            g.pad_top,
        )
        column = _last_window(
            g.input_width,
            g.output_width,
            g.filter_width,
            g.stride_width,
            g.dilation_width,
            g.pad_left,
        )
        unread = (row[:, None] < 0) | (column[None, :] < 0)
        return np.where(unread, NEVER, row[:, None] * g.output_width + column[None, :]).ravel()

    def _reads(self, pixels: Positions, count: int) -> Positions:
        """Writes before the last read of each element, (pixels, channels)."""
        g = self.geometry
        channels = np.arange(g.input_channels)
        if self.pixels == 1 and self.rows == 1 and not self.buffered:
            per_input = g.output_channels // (g.input_channels if self.per_channel else 1)
            group = channels if self.per_channel else np.zeros_like(channels)
            reads = pixels[:, None] * g.output_channels + (group + 1) * per_input - 1
        else:
            reads = np.repeat(self._block(pixels, count)[:, None], g.input_channels, axis=1)
            reads = reads * g.output_channels
        return np.where(pixels[:, None] < 0, NEVER, reads)

    def _block(self, pixels: Positions, count: int) -> Positions:
        """How many pixels may be written when one that is computed with this pixel is read."""
        if self.rows > 1:
            band = self.rows * self.geometry.output_width
            image = self.geometry.output_height * self.geometry.output_width
            start = pixels // image * image
            first = start + (pixels - start) // band * band
            return first if self.buffered else np.minimum(first + band, start + image)
        return pixels if self.buffered else np.minimum(pixels + self.pixels, count)


def _last_window(
    size: int, outputs: int, filter_size: int, stride: int, dilation: int, pad: int
) -> Positions:
    """For each place along a dimension, the last window that covers it, or ``NEVER``."""
    last = np.full(size, NEVER, np.int64)
    taps = np.arange(filter_size) * dilation - pad
    for output in range(outputs):
        places = output * stride + taps
        last[places[(places >= 0) & (places < size)]] = output
    return last


def _places(sizes: tuple[int, ...], strides: tuple[int, ...]) -> Positions:
    """The offsets of a strided block, in row-major order."""
    places = np.zeros(1, np.int64)
    for size, stride in zip(sizes, strides, strict=True):
        places = (places[:, None] + np.arange(size) * stride).ravel()
    return places


def _last(places: Positions, times: Positions) -> Positions:
    """For each place up to the largest, the largest of its times, or ``NEVER``."""
    last = np.full(int(places.max(initial=-1)) + 1, NEVER, np.int64)
    np.maximum.at(last, places, np.broadcast_to(times, places.shape))
    return last


def _runs(starts: Positions, run: int) -> Accesses:
    writes = np.arange(len(starts) * run)
    if run == 1:
        return Accesses(writes, (_last(starts, writes),))
    places = starts[:, None] + np.arange(run)
    ends = (np.arange(len(starts))[:, None] + 1) * run
    return Accesses(writes, (_last(places, ends),))


@lru_cache(maxsize=256)
def accesses(pattern: AccessPattern) -> Accesses:
    """The accesses of a pattern, kept for equal layers."""
    return pattern.accesses()

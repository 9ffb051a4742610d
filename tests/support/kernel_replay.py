"""The loops of the C kernels once more, as a list of what they read and write.

Slow and literal, to check the declared orders against: a call becomes a sequence of steps, each
("r", operand, place) or ("w", 0, place), in elements of one byte.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from device_runners.cgen.operation import KernelCall

Step = tuple[str, int, int]
Params = Mapping[str, Any]


def replay(call: KernelCall) -> list[Step]:
    """All reads and writes of a call, in order; places count from where the call begins."""
    return list(_KERNELS[call.function](call.params))


def _window(p: Params, reads: Callable[[Params, int], Sequence[int]]) -> Iterator[Step]:
    w = p["window"]
    written = itertools.count()
    for pixel in _pixels(w):
        for c in range(w["output_channels"]):
            yield from (("r", 0, place + i) for place in pixel for i in reads(p, c))
            yield "w", 0, next(written)


def _pixels(w: Mapping[str, int]) -> Iterator[list[int]]:
    """For each output pixel, where the input pixels of its window begin."""
    image = w["input_height"] * w["input_width"] * w["input_channels"]
    places = (range(w["batches"]), range(w["output_height"]), range(w["output_width"]))
    taps = list(itertools.product(range(w["filter_height"]), range(w["filter_width"])))
    for batch, y, x in itertools.product(*places):
        window = []
        for fy, fx in taps:
            in_y = y * w["stride_height"] - w["pad_top"] + fy * w["dilation_height"]
            in_x = x * w["stride_width"] - w["pad_left"] + fx * w["dilation_width"]
            if 0 <= in_y < w["input_height"] and 0 <= in_x < w["input_width"]:
                place = (in_y * w["input_width"] + in_x) * w["input_channels"]
                window.append(batch * image + place)
        yield window


def pixel_by_pixel(p: Params) -> Iterator[Step]:
    """A convolution as the reference runs it, all input channels for each output."""
    return _window(p, lambda p, _: range(p["window"]["input_channels"]))


def _conv_2d(p: Params) -> Iterator[Step]:
    """Two pixels at a time, group by group: their windows are copied, then the outputs written, the
    second pixel's ahead of the first one's."""
    w = p["window"]
    depth, channels, written = p["filter_channels"], w["output_channels"], 0
    filters = channels // (w["input_channels"] // depth)
    for block in _batched(list(_pixels(w)), 2):
        for group in range(w["input_channels"] // depth):
            for place in itertools.chain(*block):
                yield from (("r", 0, place + group * depth + i) for i in range(depth))
            for c in range(group * filters, (group + 1) * filters):
                for pixel in reversed(range(len(block))):
                    yield "w", 0, (written + pixel) * channels + c
        written += len(block)


def _depthwise(p: Params) -> Iterator[Step]:
    """Four channels of an image at a time, in bands: the rows of the input that are new in a band
    are copied, then each channel's outputs written; of an odd number the last but one again."""
    w = p["window"]
    channels, stride = w["input_channels"], w["stride_height"]
    extent = (w["filter_height"] - 1) * w["dilation_height"] + 1
    shared = max(extent - stride, 0)
    for b, first in itertools.product(range(w["batches"]), range(0, channels, 4)):
        four = range(first, min(first + 4, channels))
        for done in range(0, w["output_height"], p["band"]):
            rows = range(done, min(done + p["band"], w["output_height"]))
            begin = done * stride - w["pad_top"]
            end = begin + (len(rows) - 1) * stride + extent
            for y in range(max(begin + (shared if done else 0), 0), min(end, w["input_height"])):
                row = (b * w["input_height"] + y) * w["input_width"]
                for x in range(w["input_width"]):
                    yield from (("r", 0, (row + x) * channels + c) for c in four)
            for c, m, y in itertools.product(four, range(p["depth_multiplier"]), rows):
                row = (b * w["output_height"] + y) * w["output_width"]
                for x in (*range(w["output_width"]), *range(w["output_width"])[-2:]):
                    place = (row + x) * w["output_channels"]
                    yield "w", 0, place + c * p["depth_multiplier"] + m


def _conv_2d_dsp(p: Params) -> Iterator[Step]:
    """Three pixels' windows, then all channels of the three."""
    w = p["window"]
    channels, written = w["output_channels"], 0
    for block in _batched(list(_pixels(w)), 3):
        for place in itertools.chain(*block):
            yield from (("r", 0, place + c) for c in range(w["input_channels"]))
        yield from (("w", 0, written + i) for i in range(len(block) * channels))
        written += len(block) * channels


def _conv_2d_mve(p: Params) -> Iterator[Step]:
    """Pairs of pixels: read for each four channels, or from strips that were copied before."""
    w = p["window"]
    channels, windows = w["output_channels"], list(_pixels(w))
    rows = list(_batched(windows, w["output_width"]))

    def read(of: Sequence[Sequence[int]]) -> Iterator[Step]:
        for place in itertools.chain(*of):
            yield from (("r", 0, place + c) for c in range(w["input_channels"]))

    if p["pixels"] == 0:
        written = 0
        dense = (w["stride_height"], w["stride_width"]) == (1, 1)
        for pair in itertools.chain(*(_batched(row, 2) for row in ([windows] if dense else rows))):
            for first in range(0, channels, 4):
                yield from read(pair)
                for i in range(len(pair)):
                    begin = (written + i) * channels
                    four = range(first, min(first + 4, channels))
                    yield from (("w", 0, begin + c) for c in four)
            written += len(pair)
        return
    waiting = written = 0
    for strip in itertools.chain(*(_batched(row, p["pixels"]) for row in rows)):
        yield from read(strip)
        count = (waiting + len(strip)) // 2 * 2
        yield from (("w", 0, (written * channels) + i) for i in range(count * channels))
        written, waiting = written + count, (waiting + len(strip)) % 2
    yield from (("w", 0, written * channels + i) for i in range(waiting * channels))


def _fours(channels: int) -> list[range]:
    """Four channels at a time; the last four may begin among those before."""
    firsts = [min(c, channels - 4) for c in range(0, channels, 4)]
    return [range(first, first + 4) for first in firsts]


def _depthwise_dsp(p: Params) -> Iterator[Step]:
    channels = p["window"]["input_channels"]
    for number, window in enumerate(_pixels(p["window"])):
        for four in _fours(channels):
            yield from (("r", 0, place + c) for place in window for c in four)
            yield from (("w", 0, number * channels + c) for c in four)


def _depthwise_3x3_dsp(p: Params) -> Iterator[Step]:
    """Four channels of the image at a time: rows are packed by twos, two ahead of the results."""
    w = p["window"]
    channels, row = w["input_channels"], w["output_width"] * w["output_channels"]
    in_row = w["input_width"] * channels
    at_once = 2 if w["stride_height"] == 1 else 1
    for four, b in itertools.product(_fours(channels), range(w["batches"])):
        image, result = b * w["input_height"] * in_row, b * w["output_height"] * row
        packed = -w["pad_top"]
        for y in range(0, w["output_height"], at_once):
            ahead = (4 if y == 0 else 2) + packed
            for in_y in range(max(packed, 0), min(ahead, w["input_height"])):
                pixels = range(image + in_y * in_row, image + (in_y + 1) * in_row, channels)
                yield from (("r", 0, pixel + c) for pixel in pixels for c in four)
            packed = ahead
            end = min(y + at_once, w["output_height"])
            places = range(result + y * row, result + end * row, channels)
            yield from (("w", 0, place + c) for place in places for c in four)


def _depthwise_3x3_mve(p: Params) -> Iterator[Step]:
    """Eight channels of the image at a time: for each band, rows up to those below its windows."""
    w = p["window"]
    channels, row = w["input_channels"], w["output_width"] * w["output_channels"]
    in_row = w["input_width"] * channels
    rows_of_plane = 2 if w["stride_height"] == 1 else 1
    eights = [range(c, min(c + 8, channels)) for c in range(0, channels, 8)]
    for eight, b in itertools.product(eights, range(w["batches"])):
        image, result = b * w["input_height"] * in_row, b * w["output_height"] * row
        packed = -w["pad_top"]
        for y in range(0, w["output_height"], p["band"] * rows_of_plane):
            end = min(y + p["band"] * rows_of_plane, w["output_height"])
            planes = -(-(end - y) // rows_of_plane) + (1 if y == 0 else 0)
            for in_y in range(max(packed, 0), min(packed + 2 * planes, w["input_height"])):
                pixels = range(image + in_y * in_row, image + (in_y + 1) * in_row, channels)
                yield from (("r", 0, pixel + c) for pixel in pixels for c in eight)
            packed += 2 * planes
            places = range(result + y * row, result + end * row, channels)
            yield from (("w", 0, place + c) for place in places for c in eight)


def _in_planes(p: Params, channels: Sequence[range]) -> Iterator[Step]:
    """Some channels of the image at a time: for each band, the rows of the planes that are new."""
    w, plane = p["window"], p["rows_of_plane"]
    multiplier, pairs = p["depth_multiplier"], (w["filter_height"] + 1) // 2
    row, in_row = (w[f"{of}_width"] * w[f"{of}_channels"] for of in ("output", "input"))
    reach = (pairs - 1) * 2 * w["dilation_height"]
    below = w["dilation_height"] if w["filter_height"] > 1 else 0
    for some, b in itertools.product(channels, range(w["batches"])):
        image, result = b * w["input_height"] * in_row, b * w["output_height"] * row
        packed = 0
        for y in range(0, w["output_height"], p["band"]):
            end = min(y + p["band"], w["output_height"])
            first = max(packed, y * w["stride_height"])
            packed = max(packed, (end - 1) * w["stride_height"] + reach + 1)
            for top in range(first, packed, plane):
                for in_y in {top - w["pad_top"], top - w["pad_top"] + below}:
                    if 0 <= in_y < w["input_height"]:
                        pixels = range(image + in_y * in_row, image + (in_y + 1) * in_row)
                        yield from (
                            ("r", 0, pixel + c)
                            for pixel in pixels[:: w["input_channels"]]
                            for c in some
                        )
            outputs = range(some[0] * multiplier, (some[-1] + 1) * multiplier)
            places = range(result + y * row, result + end * row, w["output_channels"])
            yield from (("w", 0, place + c) for place in places for c in outputs)


def _depthwise_windows_dsp(p: Params) -> Iterator[Step]:
    return _in_planes(p, _fours(p["window"]["input_channels"]))


def _depthwise_windows_mve(p: Params) -> Iterator[Step]:
    channels = p["window"]["input_channels"]
    return _in_planes(p, [range(c, min(c + 8, channels)) for c in range(0, channels, 8)])


def _batched(items: list[list[int]], count: int) -> Iterator[list[list[int]]]:
    return (items[i : i + count] for i in range(0, len(items), count))


def _conv_2d_one_by_one(p: Params) -> Iterator[Step]:
    """A group's window is read for each filter."""

    def group(p: Params, c: int) -> Sequence[int]:
        depth = p["filter_channels"]
        filters = p["window"]["output_channels"] // (p["window"]["input_channels"] // depth)
        return range(c // filters * depth, (c // filters + 1) * depth)

    return _window(p, group)


def _depthwise_one_by_one(p: Params) -> Iterator[Step]:
    return _window(p, lambda p, c: (c // p["depth_multiplier"],))


def _dense_one_by_one(p: Params) -> Iterator[Step]:
    for b, c in itertools.product(range(p["batches"]), range(p["output_depth"])):
        yield from (("r", 0, b * p["input_depth"] + d) for d in range(p["input_depth"]))
        yield "w", 0, b * p["output_depth"] + c


def _conv_2d_in_fours(p: Params) -> Iterator[Step]:
    """Four filters of a group at a time, then what is left one by one."""
    w, depth = p["window"], p["filter_channels"]
    filters = w["output_channels"] // (w["input_channels"] // depth)
    for number, window in enumerate(_pixels(w)):
        for first in range(0, w["output_channels"], filters):
            group = range(first // filters * depth, (first // filters + 1) * depth)
            for some in _fours_and_ones(first, first + filters):
                yield from (("r", 0, place + c) for place in window for c in group)
                yield from (("w", 0, number * w["output_channels"] + c) for c in some)


def _depthwise_in_fours(p: Params) -> Iterator[Step]:
    """Four channels at a time, then what is left one by one; with a multiplier, one by one."""
    w, multiplier = p["window"], p["depth_multiplier"]
    count = w["output_channels"]
    some = _fours_and_ones(0, count) if multiplier == 1 else [range(c, c + 1) for c in range(count)]
    for number, window in enumerate(_pixels(w)):
        for channels in some:
            yield from (("r", 0, place + c // multiplier) for place in window for c in channels)
            yield from (("w", 0, number * count + c) for c in channels)


def _dense_in_fours(p: Params) -> Iterator[Step]:
    depth = p["input_depth"]
    for b in range(p["batches"]):
        for channels in _fours_and_ones(0, p["output_depth"]):
            yield from (("r", 0, b * depth + d) for d in range(depth))
            yield from (("w", 0, b * p["output_depth"] + c) for c in channels)


def _fours_and_ones(first: int, end: int) -> list[range]:
    rest = first + (end - first) // 4 * 4
    fours = [range(c, c + 4) for c in range(first, rest, 4)]
    return fours + [range(c, c + 1) for c in range(rest, end)]


def _softmax_int16(p: Params) -> Iterator[Step]:
    """The second pass leaves exponentials in the output, the third one reads no input."""
    for row in range(p["rows"]):
        places = range(row * p["depth"], (row + 1) * p["depth"])
        yield from (("r", 0, place) for place in places)
        for place in places:
            yield "r", 0, place
            yield "w", 0, place
        yield from (("w", 0, place) for place in places)


def _pool(p: Params) -> Iterator[Step]:
    return _window(p, lambda _, c: (c,))


def _fully_connected(p: Params) -> Iterator[Step]:
    """A row by eight channels at a time, by four, two and one at its end."""
    for b in range(p["batches"]):
        done = 0
        while done < p["output_depth"]:
            count = next(n for n in (8, 4, 2, 1) if n <= p["output_depth"] - done)
            yield from (("r", 0, b * p["input_depth"] + d) for d in range(p["input_depth"]))
            begin = b * p["output_depth"] + done
            yield from (("w", 0, place) for place in range(begin, begin + count))
            done += count


def _elementwise(p: Params) -> Iterator[Step]:
    for i in range(p["count"]):
        yield "r", 0, i
        yield "w", 0, i


def _two_operands(p: Params) -> Iterator[Step]:
    for i in range(p["count"]):
        yield from (("r", operand, i) for operand in (0, 1))
        yield "w", 0, i


def _rows_in_passes(p: Params) -> Iterator[Step]:
    for row in range(p["rows"]):
        places = range(row * p["depth"], (row + 1) * p["depth"])
        for _ in range(2):
            yield from (("r", 0, place) for place in places)
        for place in places:
            yield "r", 0, place
            yield "w", 0, place


def _broadcast(p: Params) -> Iterator[Step]:
    b = p["broadcast"]
    written = itertools.count()
    for index in itertools.product(*map(range, b["sizes"])):
        for operand in (0, 1):
            strides = b[f"strides_{operand + 1}"]
            yield "r", operand, sum(i * s for i, s in zip(index, strides, strict=True))
        yield "w", 0, next(written)


def _reduce(p: Params) -> Iterator[Step]:
    written = itertools.count()
    for kept in itertools.product(*map(range, p["kept_sizes"])):
        base = sum(i * s for i, s in zip(kept, p["kept_strides"], strict=True))
        for reduced in itertools.product(*map(range, p["reduced_sizes"])):
            yield (
                "r",
                0,
                base + sum(i * s for i, s in zip(reduced, p["reduced_strides"], strict=True)),
            )
        yield "w", 0, next(written)


def _memcpy(source: int, target: int, count: int) -> Iterator[Step]:
    """No overlap at all is allowed: whatever the order, all is read after all was written."""
    yield from (("w", 0, target + i) for i in range(count))
    yield from (("r", 0, source + i) for i in range(count))


def _copy(p: Params) -> Iterator[Step]:
    for row in range(p["rows"]):
        yield from _memcpy(row * p["input_stride"], row * p["output_stride"], p["input_stride"])


def _strided_copy(p: Params) -> Iterator[Step]:
    target = 0
    for index in itertools.product(*map(range, p["sizes"])):
        place = p["first"] + sum(i * s for i, s in zip(index, p["strides"], strict=True))
        if p["run"] == 1:
            yield "r", 0, place
            yield "w", 0, target
        else:
            yield from _memcpy(place, target, p["run"])
        target += p["run"]


def _pad(p: Params) -> Iterator[Step]:
    sides = list(zip(p["before"], p["sizes"], p["after"], strict=True))
    source = target = 0
    row = p["sizes"][-1]
    places = [range(b + size + a) for b, size, a in sides]
    inside = [range(b, b + size) for b, size, _ in sides]
    for index in itertools.product(*places[:-1], range(1)):
        is_row = all(i in span for i, span in zip(index[:-1], inside[:-1], strict=True))
        end = target + len(places[-1])
        if is_row:
            yield from (("w", 0, target + i) for i in range(p["before"][-1]))
            yield from _memcpy(source, target + p["before"][-1], row)
            yield from (("w", 0, place) for place in range(end - p["after"][-1], end))
            source += row
        else:
            yield from (("w", 0, place) for place in range(target, end))
        target = end


_KERNELS: Mapping[str, Callable[[Params], Iterator[Step]]] = {
    "tidepool_add": _broadcast,
    "tidepool_add_affine": _two_operands,
    "tidepool_add_affine_broadcast": _broadcast,
    "tidepool_add_int16": _broadcast,
    "tidepool_add_powers_int16": _two_operands,
    "tidepool_average_pool_2d": _pool,
    "tidepool_average_pool_2d_int16": _pool,
    "tidepool_conv_2d": _conv_2d,
    "tidepool_conv_2d_int16": _conv_2d_in_fours,
    "tidepool_conv_2d_int16_wide": _conv_2d_one_by_one,
    "tidepool_conv_2d_dsp": _conv_2d_dsp,
    "tidepool_conv_2d_mve": _conv_2d_mve,
    "tidepool_copy": _copy,
    "tidepool_depthwise_3x3_dsp": _depthwise_3x3_dsp,
    "tidepool_depthwise_3x3_mve": _depthwise_3x3_mve,
    "tidepool_depthwise_conv_2d": _depthwise,
    "tidepool_depthwise_conv_2d_int16": _depthwise_in_fours,
    "tidepool_depthwise_conv_2d_int16_wide": _depthwise_one_by_one,
    "tidepool_depthwise_conv_2d_dsp": _depthwise_dsp,
    "tidepool_depthwise_conv_2d_mve": _depthwise_windows_mve,
    "tidepool_depthwise_windows_dsp": _depthwise_windows_dsp,
    "tidepool_fully_connected": _fully_connected,
    "tidepool_fully_connected_int16": _dense_in_fours,
    "tidepool_fully_connected_int16_wide": _dense_one_by_one,
    "tidepool_l2_normalization": _rows_in_passes,
    "tidepool_leaky_relu_int16": _elementwise,
    "tidepool_logistic_int16": _elementwise,
    "tidepool_maximum_int16": _broadcast,
    "tidepool_minimum_int16": _broadcast,
    "tidepool_reduce_max_int16": _reduce,
    "tidepool_reduce_min_int16": _reduce,
    "tidepool_lookup": _elementwise,
    "tidepool_max_pool_2d": _pool,
    "tidepool_max_pool_2d_int16": _pool,
    "tidepool_maximum": _broadcast,
    "tidepool_mean_int16": lambda p: _reduce(p["reduction"]),
    "tidepool_minimum": _broadcast,
    "tidepool_mul": _broadcast,
    "tidepool_mul_int16": _broadcast,
    "tidepool_pad": _pad,
    "tidepool_prelu": _broadcast,
    "tidepool_reduce_max": _reduce,
    "tidepool_reduce_min": _reduce,
    "tidepool_rescale": _elementwise,
    "tidepool_rescale_int16": _elementwise,
    "tidepool_softmax": _rows_in_passes,
    "tidepool_softmax_int16": _softmax_int16,
    "tidepool_squared_difference": _broadcast,
    "tidepool_strided_copy": _strided_copy,
    "tidepool_sub": _broadcast,
    "tidepool_sum": lambda p: _reduce(p["reduction"]),
    "tidepool_tanh_int16": _elementwise,
}


def is_destructive(steps: Sequence[Step], operand: int, delta: int) -> bool:
    """Whether a kernel reads what it has overwritten, with its output ``delta`` from an operand."""
    written: set[int] = set()
    for kind, which, place in steps:
        if kind == "w":
            written.add(place + delta)
        elif which == operand and place in written:
            return True
    return False

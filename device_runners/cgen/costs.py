"""What a call of a kernel is expected to take: instructions, and bytes of the kernel itself.

A model counts the passes of a kernel's loops from the parameters of a call; what a pass takes was
fitted to counts of the emulator on random layers (``benchmarks/costs.py``, which also writes the
tables below again and says how far the models are off). Cores of one level, and the portable
kernels on all levels, are close enough to share their figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from device_runners.cgen.operation import KernelCall

Params = Mapping[str, Any]
Passes = dict[str, float]
"""Name of a loop -> how often its body runs in a call."""


@dataclass(frozen=True)
class CostModel:
    """A kernel's model.

    Attributes:
        passes: Counts the passes of its loops.
        instructions: What one pass of each takes.
        text_bytes: The kernel's code at ``-Os``, on an M4 or, at level mve, on an M55.
    """

    passes: Callable[[Params], Passes]
    instructions: Mapping[str, float]
    text_bytes: int


def instructions(call: KernelCall) -> float | None:
    """Expected instructions of a call; None for a kernel without a model."""
    model = MODELS.get(call.function)
    if model is None:
        return None
    passes = model.passes(call.params)
    return sum(model.instructions.get(name, 0.0) * count for name, count in passes.items())


def text_bytes(function: str) -> int:
    """Bytes of a kernel's code; 0 for one without a model, which has no rival either."""
    model = MODELS.get(function)
    return 0 if model is None else model.text_bytes


def _up(count: int, step: int) -> int:
    return -(-count // step)


def _pixels(w: Mapping[str, int]) -> int:
    return w["batches"] * w["output_height"] * w["output_width"]


def _crossing(w: Mapping[str, int]) -> int:
    """Output pixels whose windows reach into the padding."""
    inside = 1
    for size, pad in (("height", "pad_top"), ("width", "pad_left")):
        extent = (w[f"filter_{size}"] - 1) * w[f"dilation_{size}"]
        firsts = (i * w[f"stride_{size}"] - w[pad] for i in range(w[f"output_{size}"]))
        inside *= sum(first >= 0 and first + extent < w[f"input_{size}"] for first in firsts)
    return w["batches"] * (w["output_height"] * w["output_width"] - inside)


def _is_pointwise(w: Mapping[str, int]) -> bool:
    return w["filter_height"] == w["filter_width"] == w["stride_height"] == w["stride_width"] == 1


def _conv_2d(p: Params) -> Passes:
    w = p["window"]
    groups = w["input_channels"] // p["filter_channels"]
    filters = w["output_channels"] // groups
    two, fours, rest = _up(_pixels(w), 2) * groups, filters // 4, filters % 4
    window = w["filter_height"] * w["filter_width"]
    taps = window * p["filter_channels"]
    copied = 0 if _is_pointwise(w) else _pixels(w) * groups
    return {
        "call": 1,
        "two pixels": two,
        "summed taps": two * taps,
        "four channels": two * fours,
        "four channels' taps": two * fours * taps,
        "one channel": two * rest,
        "one channel's taps": two * rest * taps,
        "copied rows": copied * w["filter_height"],
        "copied taps": copied * taps,
        "taps across an edge": _crossing(w) * window,
    }


def _conv_2d_dsp(p: Params) -> Passes:
    return _three_pixels(p, p["depth"] // 2 + 8)


def _conv_2d_int4_dsp(p: Params) -> Passes:
    return _three_pixels(p, p["depth"] // 4 + 8)


def _three_pixels(p: Params, pair_words: int) -> Passes:
    w, quads = p["window"], p["depth"] // 4
    three = _up(_pixels(w), 3)
    pairs = p["stream_words"] // pair_words
    fixed = p["fixed_words"] // pair_words
    window = w["filter_height"] * w["filter_width"]
    tail = w["filter_width"] * w["input_channels"] % 4
    gathered = 0 if _is_pointwise(w) else three
    return {
        "call": 1,
        "three pixels": three,
        "pairs": three * pairs,
        "pairs with a shift": three * (pairs - fixed),
        "quads of pairs": three * pairs * quads,
        "widened quads": three * quads,
        "gathered pixels": gathered,
        "bytes behind quads": _pixels(w) * w["filter_height"] * tail,
        "windows across an edge": _crossing(w),
        "taps across an edge": _crossing(w) * window,
    }


def _conv_2d_mve(p: Params) -> Passes:
    return _two_pixels(p, p["window"]["output_channels"] % 4)


def _conv_2d_int4_mve(p: Params) -> Passes:
    return _two_pixels(p, _up(p["window"]["output_channels"] % 4, 2))


def _two_pixels(p: Params, rest: int) -> Passes:
    """Args: the call, and how often channels behind whole fours are gone through."""
    w, vectors = p["window"], p["depth"] // 16
    two, fours = _up(_pixels(w), 2), w["output_channels"] // 4
    rows = w["batches"] * w["output_height"]
    passes = {
        "call": 1,
        "four channels": two * fours,
        "four channels' vectors": two * fours * vectors,
        "two pixels by themselves": two if rest else 0,
        "one channel": two * rest,
        "one channel's vectors": two * rest * vectors,
    }
    if p["pixels"] > 0:
        strips = rows * _up(w["output_width"], p["pixels"])
        passes["two pixels of strips"] = two
        passes["strips' rows"] = strips * w["filter_height"]
        return passes
    strided = w["stride_height"] * w["stride_width"] > 1
    odd = rows * (w["output_width"] % 2) if strided else _pixels(w) % 2
    passes["rows of pixels"] = rows if strided else 0
    passes["pixels by themselves"] = odd
    passes["copied pixels"] = min(_pixels(w), (p["depth"] - 1) // w["input_channels"])
    return passes


def _depthwise_conv_2d(p: Params) -> Passes:
    w, channels = p["window"], p["window"]["output_channels"]
    size = w["filter_height"], w["filter_width"], w["dilation_width"]
    small = size == (3, 3, 1) and w["output_width"] > 1 and not p["channels"]["general"]
    rows, two = w["batches"] * w["output_height"], _up(w["output_width"], 2)
    bands = w["batches"] * _up(w["output_height"], p["band"])
    windows = channels * rows * two
    tall = (w["filter_height"] - 1) * w["dilation_height"]
    lines = _up(w["input_channels"], 4) * (rows * w["stride_height"] + tall)
    return {
        "call": 1,
        "channels of bands": channels * bands,
        "channels of rows": channels * rows,
        "two windows of 3x3": windows if small else 0,
        "two windows": 0 if small else windows,
        "two windows' taps": 0 if small else windows * w["filter_height"] * w["filter_width"],
        "lines": lines,
        "copied columns": lines * w["input_width"],
    }


def _depthwise_conv_2d_dsp(p: Params) -> Passes:
    w = p["window"]
    fours, taps = _up(w["input_channels"], 4), w["filter_height"] * w["filter_width"]
    return {
        "call": 1,
        "pixels": _pixels(w),
        "pixels' taps": _pixels(w) * taps,
        "four channels": _pixels(w) * fours,
        "four channels' taps": _pixels(w) * fours * taps,
        "taps across an edge": _crossing(w) * taps,
    }


def _depthwise_3x3_dsp(p: Params) -> Passes:
    w, images = p["window"], p["window"]["batches"]
    fours = _up(w["input_channels"], 4) * images
    if w["stride_width"] == 1:
        rows = _up(w["output_height"], 2)
        passes = {
            "two columns of two rows": 4 * fours * rows * (w["output_width"] // 2),
            "one column of two rows": 4 * fours * rows * (w["output_width"] % 2),
        }
    else:
        rows = w["output_height"]
        passes = {"four columns": 4 * fours * rows * _up(w["output_width"], 4)}
    return {
        "four channels": fours,
        "channels of rows": 4 * fours * rows,
        "packed columns": fours * (rows + 1) * w["input_width"],
        **passes,
    }


def _depthwise_3x3_mve(p: Params) -> Passes:
    w, images = p["window"], p["window"]["batches"]
    eights = _up(w["input_channels"], 8) * images
    adjacent = w["stride_width"] == 1
    planes = _up(w["output_height"], 2) if adjacent else w["output_height"]
    bands = _up(planes, p["band"])
    tiles = planes * _up(w["output_width"], 2 if adjacent else 4)
    channels = w["input_channels"] * images
    return {
        "call": 1,
        "listed tiles": tiles / bands,
        "packed rows": eights * (planes + 1),
        "packed columns": eights * (planes + 1) * w["input_width"],
        "copied columns": eights * bands * w["output_width"] * w["stride_width"],
        "channels of bands": channels * bands,
        "tiles of 2x2": channels * tiles if adjacent else 0,
        "tiles of a row": 0 if adjacent else channels * tiles,
    }


def _fully_connected(p: Params) -> Passes:
    rows, depth, channels = p["batches"], p["input_depth"], p["output_depth"]
    passes: Passes = {"rows": rows, "summed taps": rows * depth}
    for name, count in (
        ("eight", channels // 8),
        ("four", channels % 8 // 4),
        ("one", channels % 4),
    ):
        passes[f"{name} of a row"] = rows * count
        passes[f"{name}'s taps"] = rows * count * depth
    return passes


def _fully_connected_dsp(p: Params) -> Passes:
    rows, eights = p["batches"], _up(p["input_depth"], 8)
    parts, blocks = _up(p["input_depth"], 128), _up(p["groups"], 16)
    return {
        "rows": rows,
        "parts": rows * parts * blocks,
        "widened inputs": rows * blocks * eights,
        "four channels": rows * p["groups"] * parts,
        "four channels' taps": rows * p["groups"] * eights,
    }


def _fully_connected_mve(p: Params) -> Passes:
    eights, vectors = _up(p["output_depth"], 8), _up(p["input_depth"], 16)
    return {"call": 1, "eight channels": eights, "eight channels' vectors": eights * vectors}


MODELS: Mapping[str, CostModel] = {
    "tidepool_conv_2d": CostModel(
        _conv_2d,
        {
            "call": 236,
            "two pixels": 214,
            "summed taps": 5.1,
            "four channels": 285,
            "four channels' taps": 11.1,
            "one channel": 126,
            "one channel's taps": 6.4,
            "copied rows": 54.8,
            "copied taps": 0.3,
            "taps across an edge": 5.3,
        },
        2424,
    ),
    "tidepool_conv_2d_int4": CostModel(
        _conv_2d,
        {
            "call": 229,
            "two pixels": 238,
            "summed taps": 4.2,
            "four channels": 221,
            "four channels' taps": 10.7,
            "one channel": 112,
            "one channel's taps": 6.2,
            "copied rows": 56,
            "copied taps": 0.6,
            "taps across an edge": 4.8,
        },
        2518,
    ),
    "tidepool_conv_2d_dsp": CostModel(
        _conv_2d_dsp,
        {
            "call": 179,
            "three pixels": 72.1,
            "pairs": 29.6,
            "pairs with a shift": 27.1,
            "quads of pairs": 17.6,
            "widened quads": 10.4,
            "gathered pixels": 74.5,
            "bytes behind quads": 17.6,
            "windows across an edge": 162,
            "taps across an edge": 17.7,
        },
        2806,
    ),
    "tidepool_conv_2d_int4_dsp": CostModel(
        _conv_2d_int4_dsp,
        {
            "call": 200,
            "three pixels": 78,
            "pairs": 25,
            "pairs with a shift": 27.7,
            "quads of pairs": 19.7,
            "widened quads": 10.4,
            "gathered pixels": 83.3,
            "bytes behind quads": 16.5,
            "windows across an edge": 171,
            "taps across an edge": 16.7,
        },
        2938,
    ),
    "tidepool_conv_2d_int4_wide_dsp": CostModel(
        _conv_2d_int4_dsp,
        {
            "call": 200,
            "three pixels": 78,
            "pairs": 25,
            "pairs with a shift": 27.7,
            "quads of pairs": 22.9,
            "widened quads": 10.4,
            "gathered pixels": 83.3,
            "bytes behind quads": 16.5,
            "windows across an edge": 171,
            "taps across an edge": 16.7,
        },
        3050,
    ),
    "tidepool_conv_2d_mve": CostModel(
        _conv_2d_mve,
        {
            "call": 188,
            "four channels": 26.9,
            "four channels' vectors": 14.4,
            "two pixels by themselves": 98.8,
            "one channel": 91.9,
            "one channel's vectors": 4.2,
            "two pixels of strips": 94.3,
            "strips' rows": 248,
            "rows of pixels": 116,
            "pixels by themselves": 17.2,
            "copied pixels": 132,
        },
        2892,
    ),
    "tidepool_conv_2d_int4_mve": CostModel(
        _conv_2d_int4_mve,
        {
            "call": 146,
            "four channels": 31.5,
            "four channels' vectors": 14.6,
            "two pixels by themselves": 98.8,
            "one channel": 190,
            "one channel's vectors": 5.6,
            "two pixels of strips": 95,
            "strips' rows": 215,
            "rows of pixels": 25.5,
            "pixels by themselves": 17.2,
            "copied pixels": 93,
        },
        3088,
    ),
    "tidepool_depthwise_conv_2d": CostModel(
        _depthwise_conv_2d,
        {
            "call": 224,
            "channels of bands": 49.1,
            "channels of rows": 28.4,
            "two windows of 3x3": 79.6,
            "two windows": 82.3,
            "two windows' taps": 9.2,
            "lines": 63,
            "copied columns": 3.4,
        },
        1742,
    ),
    "tidepool_depthwise_conv_2d_dsp": CostModel(
        _depthwise_conv_2d_dsp,
        {
            "call": 151,
            "pixels": 56.3,
            "four channels": 63.5,
            "four channels' taps": 14.5,
            "taps across an edge": 34.9,
        },
        774,
    ),
    "tidepool_depthwise_3x3_dsp": CostModel(
        _depthwise_3x3_dsp,
        {
            "four channels": 380,
            "channels of rows": 42.5,
            "packed columns": 22.8,
            "two columns of two rows": 46.4,
            "one column of two rows": 22.7,
            "four columns": 40,
        },
        2452,
    ),
    "tidepool_depthwise_3x3_mve": CostModel(
        _depthwise_3x3_mve,
        {
            "call": 295,
            "listed tiles": 34.8,
            "packed rows": 71.8,
            "packed columns": 9.7,
            "channels of bands": 28.8,
            "tiles of 2x2": 16.5,
            "tiles of a row": 20.6,
        },
        2136,
    ),
    "tidepool_fully_connected": CostModel(
        _fully_connected,
        {
            "rows": 77,
            "summed taps": 2.1,
            "eight of a row": 280,
            "eight's taps": 12.5,
            "four of a row": 175,
            "four's taps": 8.9,
            "one of a row": 52.9,
            "one's taps": 3.2,
        },
        1646,
    ),
    "tidepool_fully_connected_int4": CostModel(
        _fully_connected,
        {
            "rows": 92,
            "summed taps": 2.1,
            "eight of a row": 280,
            "eight's taps": 12.1,
            "four of a row": 180,
            "four's taps": 12.1,
            "one of a row": 58,
            "one's taps": 3.1,
        },
        1726,
    ),
    "tidepool_fully_connected_dsp": CostModel(
        _fully_connected_dsp,
        {
            "rows": 160,
            "parts": 10.6,
            "widened inputs": 17,
            "four channels": 48.9,
            "four channels' taps": 26.7,
        },
        1140,
    ),
    "tidepool_fully_connected_int4_dsp": CostModel(
        _fully_connected_dsp,
        {
            "rows": 164,
            "parts": 26,
            "widened inputs": 28,
            "four channels": 54.6,
            "four channels' taps": 29.9,
        },
        1282,
    ),
    "tidepool_fully_connected_mve": CostModel(
        _fully_connected_mve,
        {
            "call": 150,
            "eight channels": 26.4,
            "eight channels' vectors": 17.3,
        },
        840,
    ),
    "tidepool_fully_connected_int4_mve": CostModel(
        _fully_connected_mve,
        {
            "call": 151,
            "eight channels": 30.3,
            "eight channels' vectors": 16.9,
        },
        858,
    ),
}
"""C function -> its model."""

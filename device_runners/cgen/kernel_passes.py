"""How often the loops of a kernel run in a call: what the cost models (``costs.py``) multiply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Params = Mapping[str, Any]
Passes = dict[str, float]
"""Name of a loop -> how often its body runs in a call."""


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


def conv_2d(p: Params) -> Passes:
    """``conv_2d.c`` and ``conv_2d_int4.c``."""
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


def conv_2d_dsp(p: Params) -> Passes:
    """``conv_2d_dsp.c``."""
    return _three_pixels(p, p["depth"] // 2 + 8)


def conv_2d_int4_dsp(p: Params) -> Passes:
    """``conv_2d_int4_dsp.c`` and ``conv_2d_int4_wide_dsp.c``."""
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


def conv_2d_mve(p: Params) -> Passes:
    """``conv_2d_mve.c``."""
    return _two_pixels(p, p["window"]["output_channels"] % 4)


def conv_2d_int4_mve(p: Params) -> Passes:
    """``conv_2d_int4_mve.c``."""
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


def depthwise_conv_2d(p: Params) -> Passes:
    """``depthwise_conv_2d.c``."""
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


def depthwise_conv_2d_dsp(p: Params) -> Passes:
    """``depthwise_conv_2d_dsp.c``."""
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


def depthwise_3x3_dsp(p: Params) -> Passes:
    """``depthwise_3x3_dsp.c``."""
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


def depthwise_3x3_mve(p: Params) -> Passes:
    """``depthwise_3x3_mve.c``."""
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


def depthwise_windows_dsp(p: Params) -> Passes:
    """``depthwise_windows_dsp.c``: rows of four channels, four results a pass, taps in runs."""
    w, images = p["window"], p["window"]["batches"]
    tall, stride = w["filter_height"] > 1, w["stride_width"]
    across = w["filter_width"] if tall else _up(w["filter_width"], 2)
    column = w["dilation_width"] if tall else 2 * w["dilation_width"]
    apart = min(stride // column if stride % column == 0 else across, across)
    pairs = _up(w["filter_height"], 2)
    runs = [_up(across - first, apart) for first in range(apart)]
    fives = pairs * sum(run // 5 for run in runs)
    threes = pairs * sum(run % 5 // 3 for run in runs)
    remainders = min(stride, (across - 1) * column + 1)
    fours, rows = _up(w["input_channels"], 4) * images, w["output_height"]
    reach = (pairs - 1) * 2 * w["dilation_height"] // p["rows_of_plane"]
    next_row = w["stride_height"] // p["rows_of_plane"]
    planes = fours * (rows * min(next_row, reach + 1) + max(reach + 1 - next_row, 0))
    columns = min(w["input_width"], remainders * w["output_width"] + (across - 1) * column)
    outputs = fours * p["depth_multiplier"]
    four = 4 * outputs * rows * _up(w["output_width"], 4)
    return {
        "call": 1,
        "unpacked pairs": outputs / images * pairs * across,
        "rows of four channels": outputs * rows,
        "packed rows": planes * remainders * (1 if tall else 3),
        "packed columns": planes * columns,
        "four results": four,
        "their fives": four * fives,
        "their threes": four * threes,
        "their other taps": four * (pairs * across - 5 * fives - 3 * threes),
    }


def depthwise_conv_2d_mve(p: Params) -> Passes:
    """``depthwise_conv_2d_mve.c``: tiles of four results, windows in vectors."""
    w, vectors = p["window"], p["vectors"]
    rows, images = w["output_height"], w["batches"]
    bands, pairs = _up(rows, p["band"]), _up(w["filter_height"], 2)
    reach = (pairs - 1) * 2 * w["dilation_height"] // p["rows_of_plane"]
    next_row = w["stride_height"] // p["rows_of_plane"]
    eights = _up(w["input_channels"], 8) * images
    planes = eights * (rows * min(next_row, reach + 1) + max(reach + 1 - next_row, 0))
    kept = eights * bands * max(reach + 1 - next_row, 0)
    tiles = w["output_channels"] * images * rows * _up(w["output_width"], 4)
    channels = w["output_channels"] * images * bands
    calls = channels if p["depth_multiplier"] > 1 else eights * bands
    few = vectors <= 2
    return {
        "call": 1,
        "listed tiles": tiles / channels,
        "packed rows": planes * (1 if w["filter_height"] > 1 else 3),
        "packed columns": planes * w["input_width"],
        "kept columns": kept * w["input_width"],
        "eights of bands": calls,
        "channels of bands": channels,
        "tiles of one vector": tiles if vectors == 1 else 0,
        "tiles of two": tiles if vectors == 2 else 0,
        "tiles of more": 0 if few else tiles,
        "their vectors": 0 if few else tiles * vectors,
    }


def fully_connected(p: Params) -> Passes:
    """``fully_connected.c`` and ``fully_connected_int4.c``."""
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


def fully_connected_dsp(p: Params) -> Passes:
    """``fully_connected_dsp.c`` and ``fully_connected_int4_dsp.c``."""
    rows, eights = p["batches"], _up(p["input_depth"], 8)
    parts, blocks = _up(p["input_depth"], 128), _up(p["groups"], 16)
    return {
        "rows": rows,
        "parts": rows * parts * blocks,
        "widened inputs": rows * blocks * eights,
        "four channels": rows * p["groups"] * parts,
        "four channels' taps": rows * p["groups"] * eights,
    }


def fully_connected_mve(p: Params) -> Passes:
    """``fully_connected_mve.c`` and ``fully_connected_int4_mve.c``."""
    eights, vectors = _up(p["output_depth"], 8), _up(p["input_depth"], 16)
    return {"call": 1, "eight channels": eights, "eight channels' vectors": eights * vectors}

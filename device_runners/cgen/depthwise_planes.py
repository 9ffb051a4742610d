"""Planes of depthwise convolutions: two rows of the input in one, so that a product has two taps.

The kernels for any window, of levels ``dsp`` and ``mve``, work on some rows of the output at a
time, a band, and keep in scratch memory the planes that these rows need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from device_runners.cgen.operation import OpContext

_BAND_BYTES = 2048
"""Bands of several rows get no more scratch than this, or than a quarter more than one row."""
_SCRATCH_BYTES = 4096
"""A band of one row gets no more than this, or than half of the input if that is more."""


def lying(window: dict[str, int]) -> dict[str, int]:
    """The window, with height and width exchanged if everything has a width of 1."""
    if {window[f"{of}_width"] for of in ("input", "output", "filter")} != {1}:
        return window
    exchanged = {"height": "width", "width": "height", "top": "left", "left": "top"}

    def other(name: str) -> str:
        what, _, direction = name.rpartition("_")
        return f"{what}_{exchanged[direction]}" if direction in exchanged else name

    return {name: window[other(name)] for name in window}


def rows_of_plane(window: Mapping[str, int]) -> int:
    """Rows of the input from one plane to the next."""
    stride = window["stride_height"]
    return math.gcd(stride, 2 * window["dilation_height"]) if pairs_of_rows(window) > 1 else stride


def pairs_of_rows(window: Mapping[str, int]) -> int:
    """Of the filter; a single row is one."""
    return -(-window["filter_height"] // 2)


def planes_of_band(window: Mapping[str, int], band: int) -> int:
    """Planes that some rows of the output need."""
    reach = (pairs_of_rows(window) - 1) * 2 * window["dilation_height"]
    return ((band - 1) * window["stride_height"] + reach) // rows_of_plane(window) + 1


def band_of(
    context: OpContext, window: Mapping[str, int], scratch_bytes: Callable[[int], int]
) -> int | None:
    """Rows of the output to work on at a time: as many as fit, spread evenly over the image.

    Args:
        context: The operator.
        window: Fields of ``tidepool_window``.
        scratch_bytes: What so many rows need.

    Returns:
        None if a single row needs too much.
    """
    height, least = window["output_height"], scratch_bytes(1)
    if least > max(_SCRATCH_BYTES, context.input(0).elements // 2):
        return None
    most = max(_BAND_BYTES, least * 5 // 4)
    fitting = max(n for n in range(1, height + 1) if n == 1 or scratch_bytes(n) <= most)
    return -(-height // -(-height // fitting))

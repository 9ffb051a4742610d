"""What a call of a kernel is expected to take: instructions, and bytes of the kernel itself.

A model counts the passes of a kernel's loops from the parameters of a call; what a pass takes was
fitted to counts of the emulator on random layers (``benchmarks/costs.py``, which also writes the
tables below again and says how far the models are off). Cores of one level, and the portable
kernels on all levels, are close enough to share their figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from device_runners.cgen import kernel_passes
from device_runners.cgen.kernel_passes import Params, Passes
from device_runners.cgen.operation import KernelCall


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


MODELS: Mapping[str, CostModel] = {
    "tidepool_conv_2d": CostModel(
        kernel_passes.conv_2d,
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
        kernel_passes.conv_2d,
        {
            "call": 229,
            "two pixels": 238,
            "summed taps": 4.2,
            "four channels": 221,
            "four channels' taps": 10.6,
            "one channel": 112,
            "one channel's taps": 6.2,
            "copied rows": 56,
            "copied taps": 0.6,
            "taps across an edge": 4.8,
        },
        2468,
    ),
    "tidepool_conv_2d_dsp": CostModel(
        kernel_passes.conv_2d_dsp,
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
        kernel_passes.conv_2d_int4_dsp,
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
        kernel_passes.conv_2d_int4_dsp,
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
        kernel_passes.conv_2d_mve,
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
        kernel_passes.conv_2d_int4_mve,
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
        kernel_passes.depthwise_conv_2d,
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
        kernel_passes.depthwise_conv_2d_dsp,
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
        kernel_passes.depthwise_3x3_dsp,
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
        kernel_passes.depthwise_3x3_mve,
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
    "tidepool_depthwise_windows_dsp": CostModel(
        kernel_passes.depthwise_windows_dsp,
        {
            "call": 2690,
            "unpacked pairs": 56.7,
            "rows of four channels": 137,
            "packed rows": 26.6,
            "packed columns": 17.9,
            "four results": 33.6,
            "their fives": 28.2,
            "their threes": 16.1,
            "their other taps": 8.9,
        },
        2648,
    ),
    "tidepool_depthwise_conv_2d_mve": CostModel(
        kernel_passes.depthwise_conv_2d_mve,
        {
            "call": 604,
            "listed tiles": 57.9,
            "packed rows": 54,
            "packed columns": 13.2,
            "kept columns": 2.8,
            "eights of bands": 62,
            "channels of bands": 29.4,
            "tiles of one vector": 18.3,
            "tiles of two": 30.1,
            "tiles of more": 21.6,
            "their vectors": 13.3,
        },
        2600,
    ),
    "tidepool_fully_connected": CostModel(
        kernel_passes.fully_connected,
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
        kernel_passes.fully_connected,
        {
            "rows": 92,
            "summed taps": 2.1,
            "eight of a row": 280,
            "eight's taps": 12,
            "four of a row": 180,
            "four's taps": 12,
            "one of a row": 58,
            "one's taps": 3.1,
        },
        1676,
    ),
    "tidepool_fully_connected_dsp": CostModel(
        kernel_passes.fully_connected_dsp,
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
        kernel_passes.fully_connected_dsp,
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
        kernel_passes.fully_connected_mve,
        {
            "call": 150,
            "eight channels": 26.4,
            "eight channels' vectors": 17.3,
        },
        840,
    ),
    "tidepool_fully_connected_int4_mve": CostModel(
        kernel_passes.fully_connected_mve,
        {
            "call": 151,
            "eight channels": 30.3,
            "eight channels' vectors": 16.9,
        },
        858,
    ),
}
"""C function -> its model."""

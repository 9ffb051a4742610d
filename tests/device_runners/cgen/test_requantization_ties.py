"""Accumulators at every rounding step, put there by the bias, for the ops that have one.

Random inputs almost never meet a step closely enough to tell apart two multipliers that differ in
their last bits, as those of a factor computed in float32 and in double do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, Padding
from converters.tflite.options import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
)


def at_the_ties(opcode: str, scales: tuple[float, float, float], per_channel: bool) -> Graph:
    """All weights are zero, so that the bias is the accumulator: one channel for each value."""
    source, weights, output = scales
    steps = (np.arange(-127, 127) + 0.5) * output / (source * weights)
    accumulators = (np.rint(steps)[:, None] + np.arange(-3, 4)).ravel()
    bias = accumulators[np.abs(accumulators) < 2**30].astype(np.int32)
    channels = len(bias)
    shapes = {
        "CONV_2D": (channels, 1, 1, 1),
        "DEPTHWISE_CONV_2D": (1, 1, 1, channels),
        "FULLY_CONNECTED": (channels, 1),
    }
    options: dict[str, Any] = {
        "CONV_2D": Conv2DOptions(Padding.VALID),
        "DEPTHWISE_CONV_2D": DepthwiseConv2DOptions(Padding.VALID, depth_multiplier=channels),
        "FULLY_CONNECTED": FullyConnectedOptions(),
    }
    dense = opcode == "FULLY_CONNECTED"
    b = GraphBuilder("ties")
    x = b.input((1, 1) if dense else (1, 1, 1, 1), source, 0)
    count = channels if per_channel else 1
    w = b.constant(
        np.zeros(shapes[opcode], np.int8),
        scales=[weights] * count,
        axis=3 if opcode == "DEPTHWISE_CONV_2D" else 0,
    )
    y = b.op(
        opcode,
        [x, w, b.constant(bias, scales=[source * weights] * count)],
        options[opcode],
        shape=(1, channels) if dense else (1, 1, 1, channels),
        scale=output,
        zero_point=0,
        version=4 if dense else 3,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("opcode", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_every_step(tmp_path: Path, opcode: str, per_channel: bool) -> None:
    rng = np.random.default_rng(0)
    for number in range(4):
        # Small factors: many accumulators lie between two steps, so that the last bits decide.
        source, output = (10.0 ** rng.uniform(-2, -1, 2)).tolist()
        weights = float(10.0 ** rng.uniform(-6, -5))
        graph = at_the_ties(opcode, (source, weights, output), per_channel)
        sample = [np.zeros(graph.input_tensors[0].shape, np.int8)]
        assert_every_tensor_equals_reference(graph, [sample], tmp_path / str(number))

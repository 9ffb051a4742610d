"""The portable convolutions and dense layers on emulated cores without the DSP extension."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.emulated_layers import assert_exact, assert_graph_exact, assert_samples_exact
from support.graphs import random_inputs
from support.scalar_layers import scalar_graph

from converters.progress import no_progress
from converters.tflite import write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
)
from device_runners.runner import Int8Model
from pipeline.comparison import reference_outputs
from pipeline.listener import Silent
from pipeline.settings import load_settings
from pipeline.stages import mcu

CORES = ("cortex-m0plus", "cortex-m3")
every_core = pytest.mark.parametrize("core", CORES)


@every_core
def test_random_layers_are_exact(core: str, tmp_path: Path) -> None:
    assert_exact(400, core, tmp_path)


@every_core
def test_groups_multipliers_and_zero_points_are_exact(core: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(401)
    assert_graph_exact(scalar_graph(rng, 30), rng, core, tmp_path)


@every_core
def test_the_largest_products_are_exact(core: str, tmp_path: Path) -> None:
    """Two of them, of two windows at once, just fit the halves of a word on small cores."""
    b = GraphBuilder("largest")
    for taps in (8, 9, 10, 11):
        x = b.input((1, 1, 3, taps), 0.05, 127)
        weights = np.full((5, 1, 1, taps), -128, np.int8)
        weights[1], weights[2] = -127, 127
        w = b.constant(weights, scales=[0.001])
        c = b.constant(np.arange(5, dtype=np.int32), scales=[0.05 * 0.001])
        options = Conv2DOptions(Padding.SAME, 1, 1, Activation.NONE, 1, 1)
        shape = (1, 1, 3, 5)
        y = b.op("CONV_2D", [x, w, c], options, shape=shape, scale=0.2, zero_point=0, version=3)
        b.output(y)
    graph = b.graph()
    samples = [[np.full(t.shape, n, np.int8) for t in graph.input_tensors] for n in (-128, 127)]
    assert_samples_exact(graph, samples, core, tmp_path)


@pytest.mark.slow
@every_core
@pytest.mark.parametrize("seed", range(402, 406))
def test_many_random_layers_are_exact(core: str, seed: int, tmp_path: Path) -> None:
    assert_exact(seed, core, tmp_path / "common")
    rng = np.random.default_rng(seed)
    assert_graph_exact(scalar_graph(rng, 30), rng, core, tmp_path / "special")


def _layer(opcode: str, shape: tuple[int, ...], weights: tuple[int, ...], channels: int) -> Graph:
    """One layer with strides of 1 and SAME padding, its factors like those of trained models."""
    b = GraphBuilder("layer")
    rng = np.random.default_rng(0)
    x = b.input(shape, 0.05, -128)
    axis = 3 if opcode == "DEPTHWISE_CONV_2D" else 0
    scales = [0.001 + 0.0001 * c for c in range(channels)]
    taps = rng.integers(-127, 128, weights).astype(np.int8)
    w = b.constant(taps, scales=scales, axis=axis)
    bias = rng.integers(-999, 999, channels).astype(np.int32)
    c = b.constant(bias, scales=[0.05 * scale for scale in scales])
    options: dict[str, Any] = {
        "CONV_2D": Conv2DOptions(Padding.SAME, 1, 1, Activation.RELU, 1, 1),
        "DEPTHWISE_CONV_2D": DepthwiseConv2DOptions(Padding.SAME, 1, 1, 1, Activation.RELU, 1, 1),
        "FULLY_CONNECTED": FullyConnectedOptions(Activation.RELU),
    }
    y = b.op(
        opcode,
        [x, w, c],
        options[opcode],
        shape=(*shape[:-1], channels),
        scale=0.5,
        zero_point=-128,
        version=3,
    )
    b.output(y)
    return b.graph()


# Measured when this was written on the M3: 2.45, 2.69, 4.62, 2.54; kernels that compute output by
# output take 7.5 to 35. On the M0+: 4.18, 4.65, 11.57, 3.97.
@every_core
@pytest.mark.parametrize(
    ("graph", "per_mac"),
    [
        (_layer("CONV_2D", (1, 10, 10, 64), (64, 1, 1, 64), 64), (4.3, 2.6)),
        (_layer("CONV_2D", (1, 12, 12, 8), (16, 3, 3, 8), 16), (4.8, 2.8)),
        (_layer("DEPTHWISE_CONV_2D", (1, 24, 24, 16), (1, 3, 3, 16), 16), (12.0, 4.8)),
        (_layer("FULLY_CONNECTED", (1, 256), (64, 256), 64), (4.1, 2.7)),
    ],
    ids=["pointwise", "convolution", "depthwise", "dense"],
)
def test_a_multiply_accumulate_takes_few_instructions(
    graph: Graph, per_mac: tuple[float, float], core: str, tmp_path: Path
) -> None:
    model = Int8Model("layer", write_graph(graph), graph)
    samples = [random_inputs(np.random.default_rng(1), graph)]
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    aot = mcu.build_aot(model, tmp_path, Silent(), mcu.isa_of(core))
    settings = load_settings(None, {"mcu.core": core}).mcu
    report = mcu.emulate(model, tmp_path, trial, settings, Silent()).report
    assert report.bit_exact
    assert report.instructions is not None
    assert report.instructions <= per_mac[CORES.index(core)] * aot.macs

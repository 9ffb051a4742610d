"""Which kernels are taken: the fewest estimated instructions, or the least flash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import random_inputs
from support.host_equality import assert_every_tensor_equals_reference
from support.models import int8_model

from converters.tflite import read_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import DepthwiseConv2DOptions, FullyConnectedOptions
from device_runners.cgen import Isa, Optimize, build
from device_runners.cgen.choice import smallest
from device_runners.cgen.costs import MODELS
from device_runners.cgen.operation import Emission, KernelCall

MODEL = Path(__file__).resolve().parents[4] / "shared" / "mlperf_tiny" / "kws_dscnn_int8.tflite"


def _depthwise(channels: int, size: int = 9) -> Graph:
    b = GraphBuilder("depthwise")
    rng = np.random.default_rng(channels)
    x = b.input((1, size, size, channels), 0.1, -128)
    taps = rng.integers(-127, 128, (1, 5, 5, channels)).astype(np.int8)
    w = b.constant(taps, scales=[0.01] * channels, axis=3)
    options = DepthwiseConv2DOptions(Padding.SAME, 1, 1, 1, Activation.RELU, 1, 1)
    shape = (1, size, size, channels)
    quantization = {"scale": 0.1, "zero_point": -128}
    b.output(b.op("DEPTHWISE_CONV_2D", [x, w], options, shape=shape, version=3, **quantization))
    return b.graph()


def _dense(depth: int, outputs: int) -> Graph:
    b = GraphBuilder("dense")
    x = b.input((1, depth), 0.05, 3)
    taps = np.random.default_rng(0).integers(-127, 128, (outputs, depth)).astype(np.int8)
    w = b.constant(taps, scales=[0.01])
    options, shape = FullyConnectedOptions(Activation.NONE), (1, outputs)
    y = b.op("FULLY_CONNECTED", [x, w], options, shape=shape, scale=1.0, zero_point=0, version=5)
    b.output(y)
    return b.graph()


def _kernels(graph: Graph, folder: Path, isa: Isa, optimize: Optimize) -> list[str]:
    kernels: list[str] = build(int8_model(graph), folder / "aot", isa, optimize).figures["kernels"]
    return kernels


@pytest.mark.parametrize(
    ("channels", "size", "kernel"),
    [
        (6, 2, "depthwise_conv_2d"),
        (32, 1, "depthwise_conv_2d_dsp"),
        (32, 9, "depthwise_windows_dsp"),
    ],
)
def test_the_cheaper_kernel_is_taken_even_if_it_is_of_a_lower_level(
    channels: int, size: int, kernel: str, tmp_path: Path
) -> None:
    graph = _depthwise(channels, size)
    assert _kernels(graph, tmp_path, Isa.DSP, Optimize.BALANCED) == [kernel]


def test_only_for_speed_may_weights_grow_much(tmp_path: Path) -> None:
    graph = _dense(4, 100)  # vectors of 16 weights, of which 12 are zeros
    assert _kernels(graph, tmp_path, Isa.MVE, Optimize.BALANCED) == ["fully_connected_dsp"]
    assert _kernels(graph, tmp_path, Isa.MVE, Optimize.SPEED) == ["fully_connected_mve"]


def _choice(*functions: str) -> Emission:
    """The first one is the fastest; a call of one output channel and depth 4 to 16."""
    calls = [
        KernelCall(name, "", {"batches": 1, "input_depth": 64, "output_depth": 8, "groups": 2}, ())
        for name in functions
    ]
    emissions = [Emission(call.kernel, (call,)) for call in calls]
    return Emission(emissions[0].kernel, emissions[0].calls, alternatives=tuple(emissions[1:]))


def test_the_smallest_model_has_few_kernels() -> None:
    fast, slow = "tidepool_fully_connected_dsp", "tidepool_fully_connected"
    assert MODELS[fast].text_bytes < MODELS[slow].text_bytes
    # A layer that has no other kernel brings one; then all of them can share it.
    taken = smallest({0: _choice(fast, slow), 1: _choice(fast, slow), 2: _choice(fast, slow)})
    assert {one.calls[0].function for one in taken.values()} == {fast}


def test_the_smallest_model_is_not_much_slower() -> None:
    fast, slow = "tidepool_fully_connected_mve", "tidepool_fully_connected"
    taken = smallest({0: _choice(fast, slow), 1: _choice(slow)})
    assert taken[0].calls[0].function == fast


def test_code_for_size_is_exact_and_smaller(tmp_path: Path) -> None:
    if not MODEL.exists():
        pytest.skip("the MLPerf Tiny models (../shared/mlperf_tiny) are absent")
    graph = read_graph(MODEL)
    for isa, shared in ((Isa.DSP, "conv_2d_dsp"), (Isa.MVE, "conv_2d_mve")):
        balanced = set(_kernels(graph, tmp_path, isa, Optimize.BALANCED))
        small = set(_kernels(graph, tmp_path, isa, Optimize.SIZE))
        # The dense layer is a convolution then, whose kernel is there anyway.
        assert small < balanced
        assert shared in small


@pytest.mark.parametrize("isa", list(Isa))
@pytest.mark.parametrize("optimize", [Optimize.SIZE, Optimize.SPEED])
def test_other_kernels_compute_the_same(isa: Isa, optimize: Optimize, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    for number, graph in enumerate((_depthwise(6), _dense(40, 5))):
        samples = [random_inputs(rng, graph) for _ in range(3)]
        folder = tmp_path / str(number)
        assert_every_tensor_equals_reference(graph, samples, folder, isa=isa, optimize=optimize)

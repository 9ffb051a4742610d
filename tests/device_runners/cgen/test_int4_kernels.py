"""Kernels that unpack weights of four bits: as portable C, on the packed data a core would get."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.any_kernel import any_kernel
from support.graphs import random_inputs
from support.host_equality import SANITIZED, assert_every_tensor_equals_reference
from support.host_layers import assert_exact
from support.int4_layers import with_int4_weights
from support.models import int8_model
from support.scalar_layers import scalar_graph

from converters.tflite import read_graph, write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import Conv2DOptions, FullyConnectedOptions
from device_runners.cgen import Isa, Optimize, build

MODELS = Path(__file__).resolve().parents[4] / "shared" / "mlperf_tiny"
_CONVOLUTIONS = {Isa.SCALAR: "conv_2d_int4", Isa.DSP: "conv_2d_int4_dsp"}
_CONVOLUTIONS[Isa.MVE] = "conv_2d_int4_mve"
_STEPS = 16  # what an int8 value becomes is a 16th


@pytest.mark.parametrize("isa", list(Isa))
def test_random_layers_are_exact_on_the_host(isa: Isa, tmp_path: Path) -> None:
    kernels = [assert_exact(seed, isa, tmp_path / str(seed), int4=True) for seed in (20, 21)]
    assert _CONVOLUTIONS[isa] in set.union(*kernels)


@pytest.mark.slow
@pytest.mark.parametrize("isa", list(Isa))
@pytest.mark.parametrize("seed", range(400, 430))
def test_many_random_layers_are_exact_on_the_host(isa: Isa, seed: int, tmp_path: Path) -> None:
    assert_exact(seed, isa, tmp_path, compiler=("gcc", "clang")[seed % 2], int4=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_groups_and_zero_points_are_exact_on_the_host(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    graph = with_int4_weights(scalar_graph(rng, 24), rng)
    samples = [random_inputs(rng, graph) for _ in range(3)]
    compiler = ("gcc", "clang")[seed % 2]
    with any_kernel(seed):
        assert_every_tensor_equals_reference(
            graph, samples, tmp_path, flags=SANITIZED, compiler=compiler
        )


def _dense(weights: np.ndarray, zero_point: int = 0, rows: int = 3) -> Graph:
    b = GraphBuilder("dense")
    x = b.input((rows, weights.shape[1]), 0.1, zero_point)
    w = b.constant((weights * _STEPS).astype(np.int8), scales=[0.01])
    shape = (rows, len(weights))
    options = FullyConnectedOptions()
    y = b.op("FULLY_CONNECTED", [x, w], options, shape=shape, scale=90.0, zero_point=0, version=4)
    b.output(y)
    return with_int4_weights(b.graph(), lowest=-8)


@pytest.mark.parametrize("isa", list(Isa))
@pytest.mark.parametrize(("depth", "rows"), [(16, 1), (31, 3), (700, 1), (1023, 3)])
def test_the_largest_sums_come_apart_again(isa: Isa, depth: int, rows: int, tmp_path: Path) -> None:
    ends = np.array([[i >> bit & 1 for bit in range(4)] for i in range(16)])
    weights = np.repeat(np.where(ends.ravel(), 7, -8)[:, None], depth, axis=1)
    inputs = np.array([[-128], [127], [1]])[:rows].repeat(depth, axis=1).astype(np.int8)
    for number, zero_point in enumerate((-128, 127)):
        graph = _dense(weights, zero_point, rows)
        samples = [[inputs], [-1 - inputs]]
        folder = tmp_path / str(number)
        assert_every_tensor_equals_reference(graph, samples, folder, flags=SANITIZED, isa=isa)


@pytest.mark.parametrize(
    ("depth", "kernel"), [(293, "conv_2d_int4_dsp"), (294, "conv_2d_int4_wide_dsp")]
)
def test_sums_of_more_than_20_bits_take_the_kernel_for_them(
    depth: int, kernel: str, tmp_path: Path
) -> None:
    assert (depth * 7 * 255 < 1 << 19) == (depth == 293)
    graph = _dense(np.full((4, depth), 7), -128)
    samples = [[np.full((3, depth), value, np.int8)] for value in (-128, 127, 3)]
    artifacts = assert_every_tensor_equals_reference(
        graph, samples, tmp_path, flags=SANITIZED, isa=Isa.DSP
    )
    assert artifacts.figures["kernels"] == [kernel]


@pytest.mark.parametrize("zero_point", [-128, 9])
@pytest.mark.parametrize("isa", [Isa.DSP, Isa.MVE])
def test_factors_of_a_half_and_more_are_exact(isa: Isa, zero_point: int, tmp_path: Path) -> None:
    weights = np.random.default_rng(3).integers(-7, 8, (32, 64))
    factors = np.geomspace(0.01, 30, 32)  # times the scales of the input and of the output
    scales = [float(np.float32(factor / _STEPS)) for factor in factors]
    graph = _convolution(weights, scales, zero_point)
    samples = [random_inputs(np.random.default_rng(n), graph) for n in range(2)]
    # Small sums, of which some are not saturated.
    samples += [[np.where(abs(x) > 120, np.sign(x), -128).astype(np.int8) for x in samples[0]]]
    artifacts = assert_every_tensor_equals_reference(
        graph, samples, tmp_path, flags=SANITIZED, isa=isa
    )
    assert artifacts.figures["kernels"] == ["conv_2d_int4_dsp"]


def _convolution(
    weights: np.ndarray, scales: Sequence[float] | None = None, zero_point: int = -128
) -> Graph:
    """Of 1x1, over 6x5 pixels."""
    count, depth = weights.shape
    b = GraphBuilder("convolution")
    x = b.input((1, 6, 5, depth), 0.1, -128)
    taps = (weights * _STEPS).astype(np.int8).reshape(count, 1, 1, depth)
    of = list(scales or [0.01] * count)
    w = b.constant(taps, scales=of, axis=0)
    bias = b.constant(np.arange(count, dtype=np.int32) * 100, scales=[0.1 * each for each in of])
    options = Conv2DOptions(Padding.SAME, 1, 1, Activation.RELU, 1, 1)
    shape, output_scale = (1, 6, 5, count), 0.1 if scales else 2.0
    y = b.op(
        "CONV_2D",
        [x, w, bias],
        options,
        shape=shape,
        scale=output_scale,
        zero_point=zero_point,
        version=3,
    )
    b.output(y)
    return with_int4_weights(b.graph(), lowest=-8)


@pytest.mark.parametrize(("second", "kernel"), [(0, "conv_2d_int4_mve"), (-1, "conv_2d_int4_dsp")])
def test_vectors_hold_no_minus_eight_above_a_negative_weight(
    second: int, kernel: str, tmp_path: Path
) -> None:
    weights = np.full((32, 64), 3)
    weights[0], weights[1] = -8, second
    artifacts = build(int8_model(_convolution(weights), "m"), tmp_path / "aot", Isa.MVE)
    assert artifacts.figures["kernels"] == [kernel]


@pytest.mark.parametrize("isa", list(Isa))
def test_weights_stay_in_four_bits_unless_only_speed_counts(isa: Isa, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).integers(-7, 8, (64, 64))
    graph = _convolution(weights)
    sizes = {}
    for optimize in Optimize:
        artifacts = build(int8_model(graph, "m"), tmp_path / optimize, isa, optimize)
        sizes[optimize] = artifacts.figures["weights_bytes"]
        (layer,) = artifacts.figures["layers"]
        assert ("4 bits" in layer["reason"]) == ("int4" in layer["kernel"])
    own = weights.size // 2 + 64 * 16  # bias, scale and zero point of a channel
    assert sizes[Optimize.BALANCED] <= own
    assert sizes[Optimize.SIZE] <= own
    if isa is Isa.DSP:  # where unpacking takes more instructions than it saves
        assert sizes[Optimize.SPEED] > weights.size


@pytest.mark.parametrize("isa", list(Isa))
@pytest.mark.parametrize("name", ["ad", "ic", "kws", "vww"])
def test_constants_take_no_more_flash_than_the_model(name: str, isa: Isa, tmp_path: Path) -> None:
    if not MODELS.exists():
        pytest.skip("the MLPerf Tiny models (../shared/mlperf_tiny) are absent")
    files = json.loads((MODELS / "tflm_baseline.json").read_text())["models"]
    graph = with_int4_weights(read_graph(MODELS / files[name]), depthwise=False)
    artifacts = build(int8_model(graph), tmp_path / "aot", isa)
    assert artifacts.figures["weights_bytes"] <= len(write_graph(graph))

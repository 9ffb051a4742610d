"""The portable convolutions and dense layers, on this machine."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.graphs import random_inputs
from support.host_equality import SANITIZED, assert_every_tensor_equals_reference
from support.host_layers import assert_exact
from support.models import int8_model
from support.scalar_layers import scalar_graph

from converters.tflite import read_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.multiplier import quantize_multiplier
from converters.tflite.options import Conv2DOptions, FullyConnectedOptions
from device_runners.cgen import Isa, build
from device_runners.cgen.channel_packing import _short_form
from device_runners.cgen.operation import OpContext
from device_runners.cgen.registry import operations

MODELS = Path(__file__).resolve().parents[4] / "shared" / "mlperf_tiny"
KERNELS = {"conv_2d", "depthwise_conv_2d", "fully_connected"}


def _assert_special_layers_exact(seed: int, folder: Path, compiler: str = "cc") -> None:
    rng = np.random.default_rng(seed)
    graph = scalar_graph(rng, 24)
    samples = [random_inputs(rng, graph) for _ in range(3)]
    samples.append([np.full(t.shape, 127, np.int8) for t in graph.input_tensors])
    samples.append([np.full(t.shape, -128, np.int8) for t in graph.input_tensors])
    artifacts = assert_every_tensor_equals_reference(
        graph, samples, folder, flags=SANITIZED, compiler=compiler
    )
    assert set(artifacts.figures["kernels"]) == KERNELS


@pytest.mark.parametrize("seed", [300, 301])
def test_random_layers_are_exact_on_the_host(seed: int, tmp_path: Path) -> None:
    assert assert_exact(seed, Isa.SCALAR, tmp_path) >= KERNELS


@pytest.mark.parametrize("seed", range(4))
def test_groups_multipliers_and_zero_points_are_exact_on_the_host(
    seed: int, tmp_path: Path
) -> None:
    _assert_special_layers_exact(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(302, 342))
def test_many_random_layers_are_exact_on_the_host(seed: int, tmp_path: Path) -> None:
    compiler = ("gcc", "clang")[seed % 2]
    assert_exact(seed, Isa.SCALAR, tmp_path / "common", compiler=compiler)
    _assert_special_layers_exact(seed, tmp_path / "special", compiler)


def _forms(graph: Graph) -> set[int]:
    """0: the short form of factors, 1: the general one."""
    forms = set()
    for operator in graph.operators:
        emission = operations()[operator.opcode].emit(OpContext(graph, operator))
        channels = emission.calls[0].params["channels"]
        assert isinstance(channels, dict)
        forms.add(channels["general"])
    return forms


def test_the_layers_above_take_both_forms_of_factors() -> None:
    assert _forms(scalar_graph(np.random.default_rng(0), 24)) == {0, 1}


@pytest.mark.parametrize("name", ["ad01", "ic_resnet8", "kws_dscnn", "vww_mobilenet"])
def test_mlperf_tiny_takes_the_short_form_and_no_more_flash_than_the_model(
    name: str, tmp_path: Path
) -> None:
    model = MODELS / f"{name}_int8.tflite"
    if not model.exists():
        pytest.skip("the MLPerf Tiny models (../shared/mlperf_tiny) are absent")
    artifacts = build(int8_model(read_graph(model)), tmp_path / "aot", Isa.SCALAR)
    assert artifacts.figures["weights_bytes"] <= model.stat().st_size
    source = next(artifacts.directory.glob("*.c")).parent / f"{artifacts.figures['model']}.c"
    text = source.read_text()
    assert ".general = 0," in text and ".general = 1," not in text


def test_layers_with_the_same_weights_share_them(tmp_path: Path) -> None:
    b = GraphBuilder("heads")
    w = b.constant(np.arange(-20, 20, dtype=np.int8).reshape(5, 1, 1, 8), scales=[0.01])
    for number in range(2):
        x = b.input((1, 3 + number, 3, 8), 0.1 + number, number)
        options = Conv2DOptions(Padding.SAME, 1, 1, Activation.NONE, 1, 1)
        shape = (1, 3 + number, 3, 5)
        b.output(b.op("CONV_2D", [x, w], options, shape=shape, scale=0.5, zero_point=3, version=3))
    artifacts = build(int8_model(b.graph(), "heads"), tmp_path / "aot")
    text = (artifacts.directory / "heads.c").read_text()
    assert len(re.findall(r"uint32_t \w*quads\w*\[8\] = ", text)) == 1
    assert len(re.findall(r" int8_t \w*rest\w*\[8\] = ", text)) == 1


@pytest.mark.parametrize("depth", [255, 256, 257, 700])
def test_the_largest_sums_come_apart_again(depth: int, tmp_path: Path) -> None:
    """Four sums share three words: at most 256 products of -128 and 255 fit."""
    b = GraphBuilder("extremes")
    ends = np.array([[i >> bit & 1 for bit in range(4)] for i in range(16)])
    weights = np.repeat(np.where(ends.ravel(), 127, -128)[:, None], depth, axis=1)
    x = b.input((3, depth), 0.1, 0)
    w = b.constant(weights.astype(np.int8), scales=[0.01])
    options = FullyConnectedOptions()
    shape = (3, len(weights))
    output = b.op(
        "FULLY_CONNECTED", [x, w], options, shape=shape, scale=90.0, zero_point=0, version=4
    )
    b.output(output)
    rows = np.array([[-128], [127], [1]]).repeat(depth, axis=1)
    samples = [[rows.astype(np.int8)]]
    assert_every_tensor_equals_reference(b.graph(), samples, tmp_path, flags=SANITIZED)


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
@pytest.mark.parametrize("factor", [0.4999, 0.03, 0.0077, 1e-5])
def test_the_short_form_rounds_like_the_reference_at_every_tie(
    factor: float, zero_point: int
) -> None:
    multiplier = quantize_multiplier(factor)
    bound = min(round(300 / factor), 1 << 30)
    channel = _short_form(multiplier, -bound, bound, zero_point)
    assert channel is not None and not channel.constant
    scale, addend, right = channel.factor
    # Around the places where the result goes on by one, and random ones.
    steps = [round((q + 0.5) / factor) + d for q in range(-257, 257) for d in range(-3, 4)]
    drawn = np.random.default_rng(0).integers(-bound, bound + 1, 2000).tolist()
    for x in (each for each in (*steps, *drawn, -1, 0, 1) if -bound <= each <= bound):
        high = (x * scale + (x << 32) + (1 << 31)) >> 32
        result = (high + addend - (x < 0)) >> right
        assert result == multiplier.apply(x) + zero_point, x


def test_factors_of_a_half_and_more_and_huge_sums_have_no_short_form() -> None:
    assert _short_form(quantize_multiplier(0.5), -9, 9, 0) is None
    assert _short_form(quantize_multiplier(1e-7), -(1 << 30) - 1, 1 << 30, 0) is None
    # Addend and product together would not fit 32 bits.
    assert _short_form(quantize_multiplier(2.0**-25), -(1 << 30), 1 << 30, -128) is None


def test_a_channel_that_never_changes_is_its_output() -> None:
    channel = _short_form(quantize_multiplier(3.0), 100, 110, 5)
    assert channel is not None and channel.constant
    assert channel.factor[1:] == (127, 0)

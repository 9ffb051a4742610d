"""The kernels of level ``dsp`` as portable C, on the packed data that a core would get."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.dsp_layers import dsp_graph
from support.graphs import random_inputs
from support.host_equality import assert_every_tensor_equals_reference
from support.host_layers import assert_exact
from support.models import int8_model

from converters.tflite import read_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Padding
from converters.tflite.options import Conv2DOptions
from device_runners.cgen import Isa, build
from device_runners.cgen.operation import OpContext
from device_runners.cgen.registry import operations

MODELS = Path(__file__).resolve().parents[4] / "shared" / "mlperf_tiny"


def test_random_layers_are_exact_on_the_host(tmp_path: Path) -> None:
    seeds = range(4)
    kernels = [assert_exact(seed, Isa.DSP, tmp_path / str(seed)) for seed in seeds]
    every = {"conv_2d_dsp", "fully_connected_dsp", "depthwise_3x3_dsp", "depthwise_conv_2d_dsp"}
    every |= {"depthwise_windows_dsp"}
    assert every | {"add_affine"} <= set.union(*kernels)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, 44))
def test_many_random_layers_are_exact_on_the_host(seed: int, tmp_path: Path) -> None:
    assert_exact(seed, Isa.DSP, tmp_path, compiler=("gcc", "clang")[seed % 2])


@pytest.mark.parametrize("name", ["ad01", "ic_resnet8", "kws_dscnn", "vww_mobilenet"])
def test_weights_take_no_more_flash_than_the_model(name: str, tmp_path: Path) -> None:
    model = MODELS / f"{name}_int8.tflite"
    if not model.exists():
        pytest.skip("the MLPerf Tiny models (../shared/mlperf_tiny) are absent")
    artifacts = build(int8_model(read_graph(model)), tmp_path / "aot", Isa.DSP)
    assert artifacts.figures["weights_bytes"] <= model.stat().st_size
    portable = {"add", "conv_2d", "depthwise_conv_2d"}
    assert not portable & set(artifacts.figures["kernels"])


@pytest.mark.parametrize("padding", list(Padding))
def test_rows_of_small_filters_are_filled_to_words(padding: Padding, tmp_path: Path) -> None:
    b = GraphBuilder("first_layer")
    rng = np.random.default_rng(3)
    x = b.input((2, 9, 8, 1), 0.05, -7)
    w = b.constant(rng.integers(-127, 128, (5, 3, 3, 1)).astype(np.int8), scales=[0.01])
    bias = b.constant(rng.integers(-999, 999, 5).astype(np.int32), scales=[0.0005])
    options = Conv2DOptions(padding, 1, 1, Activation.NONE, 1, 1)
    shape = (2, 9, 8, 5) if padding is Padding.SAME else (2, 7, 6, 5)
    b.output(
        b.op("CONV_2D", [x, w, bias], options, shape=shape, scale=0.2, zero_point=3, version=3)
    )
    graph = b.graph()
    emission = operations()["CONV_2D"].emit(OpContext(graph, graph.operators[0], Isa.DSP))
    assert emission.calls[0].params["window"]["filter_width"] == 4  # type: ignore[index]
    samples = [random_inputs(rng, graph) for _ in range(3)]
    assert_every_tensor_equals_reference(graph, samples, tmp_path, isa=Isa.DSP)


def test_the_code_says_which_kernel_it_took_and_why(tmp_path: Path) -> None:
    graph = dsp_graph(np.random.default_rng(0), 6)
    artifacts = build(int8_model(graph, "m"), tmp_path / "aot", Isa.DSP)
    text = (artifacts.directory / "m.c").read_text()
    for layer in artifacts.figures["layers"]:
        assert layer["reason"]
        assert f"by  {layer['kernel']}: {layer['reason']}" in text

"""The kernels of level ``dsp`` as portable C, on the packed data that a core would get."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.dsp_layers import dsp_graph
from support.host_layers import assert_exact
from support.models import int8_model

from converters.tflite import read_graph
from device_runners.cgen import Isa, build

MODELS = Path(__file__).resolve().parents[4] / "shared" / "mlperf_tiny"


def test_random_layers_are_exact_on_the_host(tmp_path: Path) -> None:
    seeds = range(4)
    kernels = [assert_exact(seed, Isa.DSP, tmp_path / str(seed)) for seed in seeds]
    every = {"conv_2d_dsp", "fully_connected_dsp", "depthwise_3x3_dsp", "depthwise_conv_2d_dsp"}
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


def test_the_code_says_which_kernel_it_took_and_why(tmp_path: Path) -> None:
    graph = dsp_graph(np.random.default_rng(0), 6)
    artifacts = build(int8_model(graph, "m"), tmp_path / "aot", Isa.DSP)
    text = (artifacts.directory / "m.c").read_text()
    for layer in artifacts.figures["layers"]:
        assert layer["reason"]
        assert f"by  {layer['kernel']}: {layer['reason']}" in text

"""The kernels of level ``mve`` as portable C, on the packed data that a core would get."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_layers import assert_exact
from support.models import int8_model

from converters.tflite import read_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation
from converters.tflite.options import FullyConnectedOptions
from device_runners.cgen import Isa, build

MODELS = Path(__file__).resolve().parents[4] / "shared" / "mlperf_tiny"


def test_random_layers_are_exact_on_the_host(tmp_path: Path) -> None:
    seeds = (206, 207, 209, 217)
    kernels = [assert_exact(seed, Isa.MVE, tmp_path / str(seed)) for seed in seeds]
    every = {"conv_2d_mve", "depthwise_3x3_mve", "depthwise_conv_2d_mve", "fully_connected_mve"}
    assert every <= set.union(*kernels)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(202, 232))
def test_many_random_layers_are_exact_on_the_host(seed: int, tmp_path: Path) -> None:
    assert_exact(seed, Isa.MVE, tmp_path, compiler=("gcc", "clang")[seed % 2])


@pytest.mark.parametrize(
    ("depth", "outputs", "kernel"),
    [
        (1024, 2, "conv_2d_mve"),  # eight channels would be four times the weights
        (1024, 8, "fully_connected_mve"),
        (64, 2, "fully_connected_mve"),  # small all the same
    ],
)
def test_dense_layers_are_not_filled_up_with_many_zeros(
    depth: int, outputs: int, kernel: str, tmp_path: Path
) -> None:
    b = GraphBuilder("dense")
    x = b.input((1, depth), 0.05, 3)
    taps = np.random.default_rng(0).integers(-127, 128, (outputs, depth)).astype(np.int8)
    options = FullyConnectedOptions(Activation.NONE)
    y = b.op(
        "FULLY_CONNECTED",
        [x, b.constant(taps, scales=[0.01])],
        options,
        shape=(1, outputs),
        scale=1.0,
        zero_point=0,
        version=5,
    )
    b.output(y)
    artifacts = build(int8_model(b.graph(), "dense"), tmp_path / "aot", Isa.MVE)
    assert artifacts.figures["kernels"] == [kernel]


@pytest.mark.parametrize("name", ["ad01", "ic_resnet8", "kws_dscnn", "vww_mobilenet"])
def test_weights_take_no_more_flash_than_the_model(name: str, tmp_path: Path) -> None:
    model = MODELS / f"{name}_int8.tflite"
    if not model.exists():
        pytest.skip("the MLPerf Tiny models (../shared/mlperf_tiny) are absent")
    artifacts = build(int8_model(read_graph(model)), tmp_path / "aot", Isa.MVE)
    assert artifacts.figures["weights_bytes"] <= model.stat().st_size
    kernels = set(artifacts.figures["kernels"])
    assert {"conv_2d_mve", "fully_connected_mve"} & kernels
    assert not {"conv_2d", "conv_2d_dsp", "fully_connected", "fully_connected_dsp"} & kernels

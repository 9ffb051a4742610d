"""The portable convolutions and dense layers, on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import random_inputs
from support.host_equality import SANITIZED, assert_every_tensor_equals_reference
from support.host_layers import assert_exact
from support.models import int8_model
from support.scalar_layers import scalar_graph

from converters.tflite import read_graph
from converters.tflite.graph import Graph
from device_runners.cgen import Isa, build
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

"""Models with a state on emulated cores: each sample starts from the reset state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import random_inputs
from support.recurrent_layers import lstm_graph, svdf_graph

from converters.progress import no_progress
from converters.tflite import write_graph
from converters.tflite.graph import Graph
from device_runners.runner import Int8Model
from pipeline.comparison import reference_outputs
from pipeline.listener import Silent
from pipeline.settings import load_settings
from pipeline.stages import mcu


@pytest.mark.parametrize("graph", [svdf_graph(8), lstm_graph(8)], ids=["svdf", "lstm"])
def test_every_tensor_of_every_sample_is_exact_on_the_cortex_m4(
    graph: Graph, tmp_path: Path
) -> None:
    _assert_exact(graph, "cortex-m4", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("seed", range(4))
def test_random_layers_are_exact_on_every_level(core: str, seed: int, tmp_path: Path) -> None:
    _assert_exact(svdf_graph(seed, layers=3), core, tmp_path / "svdf")
    _assert_exact(lstm_graph(seed), core, tmp_path / "lstm")


def _assert_exact(graph: Graph, core: str, folder: Path) -> None:
    rng = np.random.default_rng(1)
    model = Int8Model(graph.name, write_graph(graph), graph)
    samples = [random_inputs(rng, graph) for _ in range(3)]
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    mcu.build_aot(model, folder, Silent(), mcu.isa_of(core))
    settings = load_settings(None, {"mcu.core": core}).mcu
    report = mcu.emulate(model, folder, trial, settings, Silent(), debug_tensors=True).report
    assert report.mismatch is None

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
    rng = np.random.default_rng(1)
    model = Int8Model(graph.name, write_graph(graph), graph)
    samples = [random_inputs(rng, graph) for _ in range(3)]
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    mcu.build_aot(model, tmp_path, Silent(), mcu.isa_of("cortex-m4"))
    settings = load_settings(None, {"mcu.core": "cortex-m4"}).mcu
    report = mcu.emulate(model, tmp_path, trial, settings, Silent(), debug_tensors=True).report
    assert report.mismatch is None

"""Random layers on an emulated core, with the kernels of its level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from support.any_kernel import any_kernel
from support.dsp_layers import dsp_graph
from support.graphs import random_inputs
from support.int4_layers import with_int4_weights

from converters.progress import no_progress
from converters.tflite import write_graph
from converters.tflite.graph import Graph
from device_runners.runner import Int8Model
from pipeline.comparison import reference_outputs
from pipeline.listener import Silent
from pipeline.settings import load_settings
from pipeline.stages import mcu


def assert_exact(seed: int, core: str, folder: Path, int4: bool = False) -> None:
    """Runs 30 random layers on a core and compares every tensor with the reference."""
    rng = np.random.default_rng(seed)
    graph = dsp_graph(rng, 30)
    if int4:
        graph = with_int4_weights(graph, rng)
    with any_kernel(seed):
        assert_graph_exact(graph, rng, core, folder)


def assert_graph_exact(graph: Graph, rng: np.random.Generator, core: str, folder: Path) -> None:
    """Runs a graph on a core with random inputs and compares every tensor with the reference."""
    assert_samples_exact(graph, [random_inputs(rng, graph) for _ in range(2)], core, folder)


def assert_samples_exact(
    graph: Graph, samples: Sequence[Sequence[np.ndarray]], core: str, folder: Path
) -> None:
    """The same with given inputs."""
    model = Int8Model("layers", write_graph(graph), graph)
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    mcu.build_aot(model, folder, Silent(), mcu.isa_of(core))
    settings = load_settings(None, {"mcu.core": core}).mcu
    report = mcu.emulate(model, folder, trial, settings, Silent(), debug_tensors=True).report
    assert report.mismatch is None

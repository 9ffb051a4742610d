"""Kernels of level ``dsp`` on emulated cores: random layers are exact, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.dsp_layers import dsp_graph
from support.graphs import random_inputs

from converters.progress import no_progress
from converters.tflite import write_graph
from device_runners.runner import Int8Model
from pipeline.comparison import reference_outputs
from pipeline.listener import Silent
from pipeline.settings import load_settings
from pipeline.stages import mcu


def assert_exact(seed: int, core: str, folder: Path) -> None:
    rng = np.random.default_rng(seed)
    graph = dsp_graph(rng, 30)
    model = Int8Model("layers", write_graph(graph), graph)
    samples = [random_inputs(rng, graph) for _ in range(2)]
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    mcu.build_aot(model, folder, Silent(), mcu.isa_of(core))
    settings = load_settings(None, {"mcu.core": core}).mcu
    report = mcu.emulate(model, folder, trial, settings, Silent(), debug_tensors=True).report
    assert report.mismatch is None


def test_random_layers_are_exact_on_the_cortex_m4(tmp_path: Path) -> None:
    assert_exact(100, "cortex-m4", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
@pytest.mark.parametrize("seed", range(101, 105))
def test_random_layers_are_exact_on_cores_with_the_dsp_extension(
    core: str, seed: int, tmp_path: Path
) -> None:
    assert_exact(seed, core, tmp_path)


def test_the_board_decides_what_the_kernels_are_written_for() -> None:
    assert mcu.isa_of("cortex-m3") == "scalar"
    assert mcu.isa_of("cortex-m4") == mcu.isa_of("cortex-m33") == "dsp"
    assert mcu.isa_of("cortex-m55") == "mve"

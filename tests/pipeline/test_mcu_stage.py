"""Firmware on the emulator: every tensor of real and of random models equals the reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.graphs import make_random_graph, random_inputs
from support.more_graphs import make_any_graph

from converters.progress import no_progress
from converters.tflite import read_graph, write_graph
from device_runners.cortex_m import CORES
from device_runners.runner import Int8Model
from pipeline.comparison import reference_outputs
from pipeline.fixed_input import fixed_samples
from pipeline.listener import Silent
from pipeline.report import EmulationReport
from pipeline.run import Result, deploy, emulate
from pipeline.settings import Target, load_settings
from pipeline.source import resolve
from pipeline.stages import mcu

KERAS_MODELS = ("vww_mobilenet.h5", "ic_resnet8.h5", "ad01.h5", "kws_dscnn_saved_model")


def emulated(model: Int8Model, out: Path, core: str, trial: mcu.Trial) -> EmulationReport:
    settings = load_settings(None, {"mcu.core": core}).mcu
    mcu.build_aot(model, out, Silent(), mcu.isa_of(core))
    return mcu.emulate(model, out, trial, settings, Silent(), debug_tensors=True).report


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_mlperf_tiny_is_exact_and_gives_the_recorded_checksums(
    mlperf_tiny_model: Path, core: str, tmp_path: Path
) -> None:
    baseline = json.loads((mlperf_tiny_model.parent / "tflm_baseline.json").read_text())
    (name,) = [key for key, file in baseline["models"].items() if file == mlperf_tiny_model.name]
    model = Int8Model(name, mlperf_tiny_model.read_bytes(), read_graph(mlperf_tiny_model))
    samples = fixed_samples(model.graph, 2)
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    report = emulated(model, tmp_path, core, trial)
    assert report.mismatch is None and report.bit_exact
    assert report.output_crc32 == baseline["output_crc32"][name]
    assert report.instruction_count_method == "plugin"


def random_trial(seed: int) -> tuple[Int8Model, mcu.Trial]:
    rng = np.random.default_rng(seed)
    graph = make_random_graph(rng)
    model = Int8Model("random", write_graph(graph), graph)
    samples = [random_inputs(rng, graph) for _ in range(3)]
    return model, mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))


def test_random_graph_is_exact_on_the_cortex_m4(tmp_path: Path) -> None:
    model, trial = random_trial(1000)
    assert emulated(model, tmp_path, "cortex-m4", trial).mismatch is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1001, 1025))
def test_random_graphs_are_exact_on_the_cortex_m4(seed: int, tmp_path: Path) -> None:
    model, trial = random_trial(seed)
    assert emulated(model, tmp_path, "cortex-m4", trial).mismatch is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2012))
def test_random_graphs_of_every_op_are_exact_on_the_cortex_m4(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    graph = make_any_graph(rng, 8)
    model = Int8Model("random", write_graph(graph), graph)
    samples = [random_inputs(rng, graph) for _ in range(2)]
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    assert emulated(model, tmp_path, "cortex-m4", trial).mismatch is None


def test_wrong_code_is_found_and_its_tensor_named(tmp_path: Path) -> None:
    """The comparison can fail: one weight is changed in the generated code."""
    model, trial = random_trial(1000)
    good = mcu.build_aot(model, tmp_path, Silent())
    assert good.arena_bytes > 0
    source = tmp_path / "aot" / "random.c"
    lines = source.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.strip().startswith("tidepool_"))
    lines[place] = "    /* left out */ (void)0;" if lines[place].endswith(";") else "    if (0)"
    source.write_text("\n".join([*lines[: place + 1], *lines[place + 1 :]]) + "\n")
    settings = load_settings(None, {}).mcu
    report = mcu.emulate(model, tmp_path, trial, settings, Silent(), debug_tensors=True).report
    assert not report.bit_exact and report.mismatch is not None
    first = model.graph.operators[0]
    assert report.mismatch.tensor == first.outputs[0]


@pytest.mark.slow
@pytest.mark.parametrize("file", KERAS_MODELS)
def test_older_keras_models_reach_the_emulator_bit_exact(
    mlperf_tiny: Path, file: str, tmp_path: Path
) -> None:
    overrides = {"dataset.source": "random", "build_directory": tmp_path, "mcu.samples": 2}
    settings = load_settings(None, overrides)
    result = deploy(resolve(mlperf_tiny / file), Target.MCU, settings, Silent(), debug_tensors=True)
    assert_exact(result)
    assert result.report.evaluation is None  # no accuracy on noise


@pytest.mark.slow
def test_real_keywords_give_the_same_accuracy_on_host_and_emulator(
    mlperf_tiny: Path, tmp_path: Path
) -> None:
    overrides = {
        "dataset.source": str(mlperf_tiny / "kws_inputs.npz"),
        "build_directory": tmp_path,
    }
    settings = load_settings(None, overrides)
    everything = settings.mcu.model_copy(update={"samples": None})
    settings = settings.model_copy(update={"mcu": everything})
    result = emulate(resolve(mlperf_tiny / "kws_dscnn_int8.tflite"), settings, Silent())
    emulation = assert_exact(result)
    assert emulation.samples == 500
    assert emulation.emulator_value == emulation.host_value == pytest.approx(0.904)


def assert_exact(result: Result) -> EmulationReport:
    assert result.error is None and result.report.mcu is not None
    report = result.report.mcu
    assert report.tflm is not None and report.tflm.bit_exact
    assert report.emulation is not None and report.emulation.bit_exact
    return report.emulation

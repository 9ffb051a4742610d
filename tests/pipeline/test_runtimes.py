"""TFLM and the generated code on one core: measured, compared, and told apart when one is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.tflm_tree import (
    NEEDED_BYTES,
    require_tflm_root,
    write_toy_model,
    write_toy_tree,
)

from converters.errors import ExitCode, TidepoolError
from converters.progress import no_progress
from converters.tflite import read_graph, write_graph
from converters.tflite.builder import GraphBuilder
from device_runners.cortex_m import RuntimeKind, TflmOptions, find_board
from device_runners.runner import Int8Model
from pipeline.comparison import reference_outputs
from pipeline.fixed_input import fixed_samples
from pipeline.listener import Silent
from pipeline.runtime_comparison import Runtime, RuntimeComparison
from pipeline.settings import McuSettings
from pipeline.stages import compression, mcu, runtimes

M4 = find_board("cortex-m4")


def toy_model() -> Int8Model:
    """Eight bytes through a RELU, which the toy interpreter's negation is not."""
    b = GraphBuilder("toy")
    x = b.input((1, 8), scale=0.1, zero_point=0)
    b.output(b.op("RELU", [x], None, shape=(1, 8), scale=0.1, zero_point=0))
    graph = b.graph()
    return Int8Model("toy", write_graph(graph), graph)


def trial_of(model: Int8Model, count: int) -> mcu.Trial:
    samples = fixed_samples(model.graph, count)
    return mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))


def compare(
    model: Int8Model, out: Path, core: str, root: Path, estimate: int | None = None
) -> RuntimeComparison:
    settings, trial = McuSettings(core=core), trial_of(model, 2)
    mcu.build_aot(model, out, Silent())
    if estimate is None:
        artifacts = mcu.build_tflm(model, out, trial, Silent())
        assert artifacts is not None
        estimate = artifacts.arena_bytes
    generated = mcu.emulate(model, out, trial, settings, Silent())
    return runtimes.compare(
        model, out, trial, settings, Silent(), generated=generated, estimate=estimate, root=root
    )


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[RuntimeComparison, Path]:
    """A comparison with an interpreter that computes something else; and its folder."""
    out = write_toy_model(tmp_path_factory.mktemp("toy"))
    root = write_toy_tree(tmp_path_factory.mktemp("tree"), M4, "cmsis_nn", "")
    return compare(toy_model(), out, "cortex-m4", root, estimate=NEEDED_BYTES + 64), out


@pytest.mark.slow
def test_a_runtime_that_computes_something_else_is_named(
    toy: tuple[RuntimeComparison, Path],
) -> None:
    comparison, _ = toy
    assert [row.runtime for row in comparison.runtimes] == list(Runtime)
    assert [row.bit_exact for row in comparison.runtimes] == [True, False, False]
    assert not comparison.bit_exact
    error = runtimes.mismatch_error(comparison)
    assert error is not None
    assert error.exit_code is ExitCode.MISMATCH
    assert error.message.endswith(f"{Runtime.TFLM_CMSIS_NN}, {Runtime.TFLM_REFERENCE}")
    assert [row[-1] for row in comparison.rows()] == ["yes", "NO", "NO"]


@pytest.mark.slow
def test_the_measured_arena_goes_into_the_artifacts(toy: tuple[RuntimeComparison, Path]) -> None:
    comparison, out = toy
    tflm_row = comparison.runtimes[1]
    smallest = NEEDED_BYTES + -NEEDED_BYTES % 16
    assert tflm_row.arena_bytes == smallest + 16
    assert tflm_row.arena_source == "measured on the emulated cortex-m4 with TFLM's CMSIS-NN"
    settings = (out / "tflm" / "toy_settings.h").read_text()
    assert f"kTensorArenaSize = {smallest + 16};" in settings
    assert "Measured on the emulated cortex-m4" in settings


@pytest.mark.slow
def test_the_json_adds_up_and_counts_each_start(toy: tuple[RuntimeComparison, Path]) -> None:
    comparison, _ = toy
    content = json.loads(comparison.to_json())
    for entry, row in zip(content["runtimes"], comparison.runtimes, strict=True):
        assert entry["flash_bytes"] == row.text_bytes + row.rodata_bytes + row.data_bytes
        variables = row.data_bytes + row.bss_bytes
        assert entry["ram_bytes"] == row.arena_bytes + row.stack_bytes + variables
        assert 0 < row.setup_instructions < 1000
    aot = comparison.runtimes[0]
    assert aot.setup_instructions < comparison.runtimes[1].setup_instructions
    assert all(len(row) == len(comparison.HEADINGS) for row in comparison.rows())


def test_a_missing_library_is_an_error_before_any_work(tmp_path: Path, monkeypatch) -> None:
    settings = McuSettings(core="cortex-m7")
    monkeypatch.delenv("TFLM_ROOT", raising=False)
    with pytest.raises(TidepoolError, match="TFLM_ROOT isn't set"):
        runtimes.require_library(settings)
    monkeypatch.setenv("TFLM_ROOT", str(tmp_path))
    with pytest.raises(TidepoolError, match="no TFLM library for cortex-m7") as error:
        runtimes.require_library(settings)
    assert "TARGET_ARCH=cortex-m7+fp" in error.value.hint
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(
        "TFLM_ROOT", str(write_toy_tree(tmp_path / "tree", find_board("cortex-m7"), ""))
    )
    runtimes.require_library(settings)


def test_without_a_library_the_error_says_how_to_get_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("TFLM_ROOT", raising=False)
    with pytest.raises(TidepoolError, match="TFLM_ROOT isn't set") as error:
        runtimes.measure_arena(
            toy_model(),
            write_toy_model(tmp_path),
            trial_of(toy_model(), 1),
            McuSettings(core="cortex-m4"),
            Silent(),
            estimate=1024,
            options=TflmOptions(),
        )
    assert "make -f tensorflow/lite/micro/tools/make/Makefile" in error.value.message


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_compressed_weights_are_exact_on_the_core(
    mlperf_tiny: Path, core: str, tmp_path: Path
) -> None:
    root = require_tflm_root()
    path = mlperf_tiny / "ad01_int8.tflite"
    plain = Int8Model("ad", path.read_bytes(), read_graph(path))
    model, clustering = compression.cluster(plain, 4, Silent())
    packed, report = compression.compress(model, Silent())
    assert clustering.tensors == report.tensors == 10
    assert report.bytes_after == len(packed.content)
    trial, settings = trial_of(model, 2), McuSettings(core=core)
    flash = {}
    for name, one in (("plain", model), ("packed", packed)):
        artifacts = mcu.build_tflm(one, tmp_path / name, trial, Silent())
        assert artifacts is not None and artifacts.bit_exact
        arena = runtimes.fit_arena(
            one,
            tmp_path / name,
            trial,
            settings,
            Silent(),
            estimate=artifacts.arena_bytes,
            root=root,
        )
        emulated = mcu.emulate(
            one,
            tmp_path / name,
            trial,
            settings,
            Silent(),
            runtime=RuntimeKind.TFLM,
            tflm_options=TflmOptions(root),
        )
        assert emulated.report.bit_exact
        assert emulated.sizes.arena_bytes == arena.total
        flash[name] = emulated.sizes.text_bytes + emulated.sizes.rodata_bytes
    # Less what the decoder's code takes.
    assert 0 < flash["plain"] - flash["packed"] < report.bytes_before - report.bytes_after


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
def test_tflm_is_exact_on_every_core_with_every_library(
    mlperf_tiny_model: Path, core: str, tmp_path: Path
) -> None:
    root = require_tflm_root()
    baseline = json.loads((mlperf_tiny_model.parent / "tflm_baseline.json").read_text())
    (name,) = [key for key, file in baseline["models"].items() if file == mlperf_tiny_model.name]
    model = Int8Model(name, mlperf_tiny_model.read_bytes(), read_graph(mlperf_tiny_model))
    comparison = compare(model, tmp_path, core, root)
    assert comparison.bit_exact
    assert {row.output_crc32 for row in comparison.runtimes} == {baseline["output_crc32"][name]}
    recorded = baseline["instructions"][core][name]
    for row in comparison.runtimes:
        if row.runtime is Runtime.TFLM_CMSIS_NN:
            assert row.instructions == pytest.approx(recorded, rel=1e-3)
            assert row.setup_instructions > 10_000
    settings = (tmp_path / "tflm" / f"{name}_settings.h").read_text()
    assert f"kTensorArenaSize = {comparison.runtimes[1].arena_bytes};" in settings

"""Real models on real boards: what fits, with the figures of the firmware that runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.export_packages import small_graph
from support.graphs import make_random_graph
from support.models import int8_model

from converters.progress import no_progress
from converters.tflite import read_graph
from device_runners.cortex_m import RuntimeKind, all_boards, find_board, fit
from device_runners.runner import Int8Model
from pipeline.comparison import reference_outputs
from pipeline.fixed_input import fixed_samples
from pipeline.listener import Silent
from pipeline.settings import load_settings
from pipeline.stages import mcu
from pipeline.stages.fit import fit_boards


def test_fit_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = int8_model(make_random_graph(np.random.default_rng(3)), "random")
    report = fit_boards(model, [find_board("nucleo_f446re")], RuntimeKind.AOT, Silent())
    assert report.model == "random"
    assert report.fitting == ("nucleo_f446re",)
    assert list(tmp_path.iterdir()) == []


def test_each_board_is_measured_with_the_kernels_of_its_core(tmp_path: Path) -> None:
    model = int8_model(small_graph(3), "small")
    boards = [find_board(name) for name in ("cortex-m3", "cortex-m4")]
    together = fit_boards(model, boards, RuntimeKind.AOT, Silent())
    for board, each in zip(boards, together.boards, strict=True):
        mcu.build_aot(model, tmp_path / board.name, Silent(), mcu.isa_of(board.name))
        alone = fit(tmp_path / board.name, "small", [board])
        assert each == alone.boards[0]
    # DSP kernels hold other code, and weights in another order, than portable ones.
    scalar, dsp = (each.footprint for each in together.boards)
    assert scalar is not None
    assert dsp is not None
    assert (scalar.text_bytes, scalar.rodata_bytes) != (dsp.text_bytes, dsp.rodata_bytes)


@pytest.mark.slow
def test_mlperf_tiny_on_every_board_is_measured_as_it_runs(
    mlperf_tiny_model: Path, tmp_path: Path
) -> None:
    baseline = json.loads((mlperf_tiny_model.parent / "tflm_baseline.json").read_text())
    (name,) = [key for key, file in baseline["models"].items() if file == mlperf_tiny_model.name]
    model = Int8Model(name, mlperf_tiny_model.read_bytes(), read_graph(mlperf_tiny_model))
    fits = fit_boards(model, all_boards(), RuntimeKind.AOT, Silent())
    assert len(fits.boards) == len(all_boards())
    assert set(fits.fitting) == {board.name for board in all_boards()}

    # The same model for one of the boards, executed: its own memory map, the recorded checksum.
    samples = fixed_samples(model.graph, 1)
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    settings = load_settings(None, {"mcu.core": "nucleo_f446re"}).mcu
    mcu.build_aot(model, tmp_path, Silent(), mcu.isa_of("nucleo_f446re"))
    report = mcu.emulate(model, tmp_path, trial, settings, Silent()).report
    assert report.bit_exact
    assert report.output_crc32 == baseline["output_crc32"][name]
    assert (report.board, report.machine) == ("nucleo_f446re", "netduinoplus2")

    (measured,) = [each for each in fits.boards if each.board.name == "nucleo_f446re"]
    assert measured.footprint is not None
    assert measured.footprint.text_bytes == report.text_bytes
    assert measured.footprint.rodata_bytes == report.rodata_bytes
    assert measured.footprint.arena_bytes == report.arena_bytes
    assert report.stack_bytes < measured.footprint.stack_bytes

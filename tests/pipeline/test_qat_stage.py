"""Quantization-aware training as a stage of the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.digits_recipe import REPOSITORY, digits_recipe

from converters.errors import TidepoolError
from pipeline.cli import _with_values
from pipeline.listener import Silent
from pipeline.run import Result, deploy
from pipeline.settings import Target, load_settings
from pipeline.source import resolve


def run(model: Path, tmp_path: Path, dataset: str, **qat: object) -> Result:
    overrides = {
        "dataset.source": dataset,
        "build_directory": tmp_path / "build",
        "mcu.samples": 4,
        **{f"qat.{key}": value for key, value in qat.items()},
    }
    settings = load_settings(None, overrides)
    return deploy(resolve(model), Target.MCU, settings, Silent(), debug_tensors=True)


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        (["--qat"], ["--qat", "on"]),
        (["--qat", "auto"], ["--qat", "auto"]),
        (["m.keras", "--qat", "--json"], ["m.keras", "--qat", "on", "--json"]),
        (["--qat-epochs", "3"], ["--qat-epochs", "3"]),
    ],
)
def test_bare_option_means_on(given: list[str], understood: list[str]) -> None:
    assert _with_values(given) == understood


@pytest.mark.slow
def test_trained_model_is_bit_exact_on_the_emulator(digits: Path, tmp_path: Path) -> None:
    result = run(digits, tmp_path, digits_recipe(tmp_path), mode="on", epochs=2)
    assert result.error is None
    report = result.report
    assert report.qat is not None and report.qat.epochs == 2
    assert report.evaluation is not None and report.evaluation.int8_value > 0.95
    assert report.mcu is not None and report.mcu.bit_exact
    assert report.mcu.emulation is not None
    assert report.mcu.emulation.compared == "every tensor"
    # The int8 file computes what the quantized model computes, not what the float model does.
    assert report.agreement[0].mean_error_lsb < 0.5
    folder = tmp_path / "build" / "digits" / "qat"
    assert (folder / "quantized.keras").is_file() and any((folder / "logs").rglob("events*"))
    assert not list(folder.glob("backup-*/**/*.weights.h5"))


@pytest.mark.slow
def test_same_training_gives_same_bytes(digits: Path, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        run(digits, tmp_path / name, digits_recipe(tmp_path), mode="on", epochs=1)
        files.append((tmp_path / name / "build" / "digits" / "digits_int8.tflite").read_bytes())
    assert files[0] == files[1]


@pytest.mark.slow
def test_auto_trains_only_what_fails_the_gate(digits: Path, tmp_path: Path) -> None:
    good = run(digits, tmp_path, digits_recipe(tmp_path), mode="auto", epochs=1)
    assert good.error is None and good.report.qat is None
    # Calibrated on a hundredth of the range, conversion without training loses nearly all.
    bad = run(digits, tmp_path, digits_recipe(tmp_path, calibration=0.01), mode="auto", epochs=2)
    assert bad.error is None
    assert bad.report.qat is not None and bad.report.qat.post_training is not None
    assert not bad.report.qat.post_training.passed
    assert bad.report.evaluation is not None and bad.report.evaluation.passed


@pytest.mark.slow
def test_float_model_teaches(digits: Path, tmp_path: Path) -> None:
    result = run(digits, tmp_path, digits_recipe(tmp_path), mode="on", epochs=2, distill=0.5)
    assert result.error is None
    assert result.report.qat is not None and result.report.qat.distillation == 0.5
    assert result.report.evaluation is not None and result.report.evaluation.int8_value > 0.95


@pytest.mark.slow
def test_training_stops_early_without_progress(digits: Path, tmp_path: Path) -> None:
    result = run(
        digits,
        tmp_path,
        digits_recipe(tmp_path),
        mode="on",
        epochs=12,
        patience=1,
        learning_rate=1e-9,
    )
    assert result.report.qat is not None and result.report.qat.epochs < 12


@pytest.mark.slow
def test_training_needs_training_samples(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match="needs training samples"):
        run(digits, tmp_path, digits_recipe(tmp_path, train=False), mode="on")


@pytest.mark.slow
def test_killed_training_goes_on_where_it_was(digits: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.cli", "convert", str(digits), "--json"]
    command += ["--dataset", digits_recipe(tmp_path), "--qat", "--qat-epochs", "30"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = tmp_path / "build" / "digits" / "qat"
    deadline = time.monotonic() + 120
    while not list(folder.glob("backup-*/*.json.bkp")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (backup,) = folder.glob("backup-*")
    kept = backup / "training_metadata.json.bkp"
    assert 0 < json.loads(kept.read_text())["epoch"] < 28
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)["qat"]
    assert report["epochs"] == 30 and 0 < report["epochs_resumed"] < 30

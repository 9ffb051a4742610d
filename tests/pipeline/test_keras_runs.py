"""Whole runs from a Keras model: the example, the gate, and data on the wrong scale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.digits_recipe import REPOSITORY, digits_recipe

from converters.errors import ExitCode
from pipeline.listener import Silent
from pipeline.run import convert, deploy
from pipeline.settings import Target, load_settings
from pipeline.source import resolve

pytestmark = pytest.mark.slow


def test_example_reaches_the_emulator_bit_exact_with_its_accuracy(tmp_path: Path) -> None:
    source = resolve(REPOSITORY / "examples" / "digits")
    settings = load_settings(source.config, {"build_directory": tmp_path, "mcu.core": "cortex-m33"})
    result = deploy(source, Target.MCU, settings, Silent(), debug_tensors=True)
    assert result.error is None
    report = result.report
    assert report.evaluation is not None and report.mcu is not None
    assert report.evaluation.float_value is not None
    assert report.evaluation.float_value >= 0.97
    assert report.evaluation.passed and report.evaluation.samples == 360
    assert report.agreement[0].argmax_agreement is not None
    assert report.agreement[0].argmax_agreement > 0.98
    emulation = report.mcu.emulation
    assert emulation is not None and emulation.bit_exact
    assert emulation.compared == "every tensor"
    assert emulation.emulator_value == emulation.host_value


def test_model_that_loses_too_much_stops_at_the_gate(digits: Path, tmp_path: Path) -> None:
    """Calibrated on a hundredth of the range, nearly everything is clipped."""
    overrides = {
        "dataset.source": digits_recipe(tmp_path, calibration=0.01),
        "build_directory": tmp_path / "build",
    }
    result = deploy(resolve(digits), Target.MCU, load_settings(None, overrides), Silent())
    assert result.error is not None and result.error.exit_code is ExitCode.GATE
    written = json.loads((tmp_path / "build" / "digits" / "report.json").read_text())
    assert written["evaluation"]["passed"] is False and written["evaluation"]["drop"] > 1
    assert any("times as wide" in warning for warning in written["warnings"])
    assert not (tmp_path / "build" / "digits" / "mcu").exists()


def test_larger_drop_can_be_allowed(digits: Path, tmp_path: Path) -> None:
    overrides = {
        "dataset.source": digits_recipe(tmp_path, calibration=0.01),
        "build_directory": tmp_path / "build",
        "gate.max_drop": 100.0,
    }
    assert convert(resolve(digits), load_settings(None, overrides), Silent()).error is None


def test_data_that_is_all_on_another_scale_than_in_training_raises_a_doubt(
    digits: Path, tmp_path: Path
) -> None:
    overrides = {
        "dataset.source": digits_recipe(tmp_path, calibration=-255, test=-255),
        "build_directory": tmp_path / "build",
    }
    result = convert(resolve(digits), load_settings(None, overrides), Silent())
    assert any("scale them as for training" in warning for warning in result.report.warnings)

"""The doctor tells what is there, what is missing, and how to get it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline import doctor


def test_finds_what_this_machine_has() -> None:
    found = {each.name: each for each in doctor.examine().symptoms}
    assert found["numpy"].found and found["numpy"].version
    assert found["Python"].found


def test_missing_compiler_makes_it_unhealthy_and_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    diagnosis = doctor.examine()
    compiler = next(each for each in diagnosis.symptoms if each.name == "arm-none-eabi-gcc")
    assert not diagnosis.healthy and not compiler.found
    assert "gcc-arm-none-eabi" in compiler.hint


def test_missing_edge_tpu_compiler_is_optional(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGETPU_COMPILER", str(tmp_path / "nowhere"))
    symptom = doctor._edge_tpu_compiler()
    assert not symptom.found and not symptom.required and symptom.hint


def test_unrelated_pycoral_is_told_from_googles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pycoral").mkdir()
    (tmp_path / "pycoral" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    symptom = doctor._pycoral()
    assert not symptom.found and "unrelated" in symptom.hint


def test_json_says_the_same_as_the_table() -> None:
    diagnosis = doctor.examine()
    content = json.loads(diagnosis.to_json())
    assert content["healthy"] == diagnosis.healthy
    assert len(content["symptoms"]) == len(diagnosis.rows())

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import qat
from qat_tfmot import Job

from converters.errors import TidepoolError

_SCRIPT = Path(qat.__file__)


def test_a_job_for_tfmot_travels_as_a_file(tmp_path: Path) -> None:
    job = Job([("normal", 0), ("imbalanced", 1)], 2, 1e-3, 64, "normal")
    job.write(tmp_path)
    read = Job.read(tmp_path)
    assert [tuple(training) for training in read.trainings] == job.trainings
    assert (read.epochs, read.learning_rate, read.batch, read.timed) == (2, 1e-3, 64, "normal")


def test_the_environment_of_tfmot_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def record(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", record)
    folder = tmp_path / "venv"
    first = qat.tfmot_environment(folder)
    assert len(commands) == 2
    assert qat.tfmot_environment(folder) == first
    assert len(commands) == 2
    monkeypatch.setattr(qat, "_TFMOT_REQUIREMENTS", ("another==1",))
    qat.tfmot_environment(folder)
    assert "another==1" in commands[-1]


def test_a_failed_environment_is_one_error_and_not_taken_for_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TidepoolError, match="environment of tfmot") as caught:
        qat.tfmot_environment(tmp_path / "venv")
    assert "--no-tfmot" in caught.value.hint
    assert not (tmp_path / "venv" / "requirements.txt").exists()


def test_an_unknown_network_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), "--net", "nosuch", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "unknown network nosuch" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_quick_run_measures_every_variant_of_ours_and_leaves_the_files(tmp_path: Path) -> None:
    options = ["--quick", "--no-tfmot", "--net", "exposure", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "qat.json").read_text())
    assert set(content) == {"exposure", "step_time_ratio"}
    assert set(content["exposure"]) == {"float", "ptq", "qat", "qat_int4"}
    # One epoch of QAT is enough to be far from chance, which is 0.1.
    assert content["exposure"]["qat"]["mean"] > 0.5
    assert content["step_time_ratio"]["qat"] > 1
    assert (tmp_path / "qat.png").read_bytes().startswith(b"\x89PNG")
    int8, int4 = (tmp_path / "qat" / f"exposure_0_{v}.tflite" for v in ("qat", "qat_int4"))
    assert int4.stat().st_size < int8.stat().st_size

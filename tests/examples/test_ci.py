"""The example of a user's repository: its script and the action's step, from an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A user's repository that is a copy of the example, outside of tidepool's."""
    return Path(shutil.copytree(ROOT / "examples/ci", tmp_path / "firmware"))


def run_script(script: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    binaries = Path(sys.executable).parent
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(script)],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
    )


def test_example_repository_is_green(repository: Path) -> None:
    result = run_script(repository / "check_model.sh", repository)
    assert result.returncode == 0, result.stderr
    suites = ElementTree.parse(repository / "build/junit.xml").getroot()
    names = {case.get("name") for case in suites.iter("testcase")}
    assert "cortex-m4 is bit-exact" in names
    assert "accuracy: no worse than the baseline" in names
    assert suites.get("failures") == "0"
    assert (repository / "build/summary.md").read_text().startswith("## digits: passed")


def test_example_repository_fails_when_its_budget_shrinks(repository: Path) -> None:
    config = repository / "tidepool.toml"
    config.write_text(config.read_text().replace("= 4096", "= 1000"))
    result = run_script(repository / "check_model.sh", repository)
    assert result.returncode == 6
    assert re.search(r"over budget: arena [\d,]+ bytes, at most 1,000", result.stderr)
    suites = ElementTree.parse(repository / "build/junit.xml").getroot()
    failed = [
        case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None
    ]
    assert failed == ["arena: budget"]


@pytest.mark.parametrize(("limit", "code"), [("100000", 0), ("100", 6)])
def test_action_step_writes_the_job_summary_whatever_comes_of_the_run(
    repository: Path, tmp_path: Path, limit: str, code: int
) -> None:
    summary, output = tmp_path / "summary.md", tmp_path / "output"
    result = run_script(
        ROOT / ".github/actions/emulate/run.sh",
        repository,
        TIDEPOOL=str(Path(sys.executable).parent / "tidepool"),
        MODEL="model/digits_int8.tflite",
        ARGUMENTS=f"--samples 2 --max-flash {limit}",
        GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_OUTPUT=str(output),
    )
    assert result.returncode == code, result.stderr
    assert ("FAILED" in summary.read_text()) == bool(code)
    assert output.read_text() == "report=build/digits/report.json\n"

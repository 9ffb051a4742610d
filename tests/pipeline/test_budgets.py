"""Budgets: each limit and each regression is found, and what can't be compared is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from converters.errors import ExitCode, TidepoolError
from pipeline.budgets import budget_error, judge
from pipeline.ci_output import CiOutput
from pipeline.report import EmulationReport, EvaluationReport, McuReport, ModelReport, Report
from pipeline.settings import BudgetSettings, GateSettings


def report(evaluation: EvaluationReport | None = None, **changes: Any) -> Report:
    """The report of a run, with a few figures changed."""
    emulation = {
        "core": "cortex-m4",
        "board": "mps2-an386",
        "machine": "mps2-an386",
        "runtime": "aot",
        "samples": 4,
        "bit_exact": True,
        "compared": "every output",
        "mismatch": None,
        "instructions": 1000,
        "instructions_max": 1100,
        "instruction_count_method": "plugin",
        "text_bytes": 300,
        "rodata_bytes": 700,
        "image": {},
        "flash_bytes": 5000,
        "ram_bytes": 3000,
        "arena_bytes": 2000,
        "stack_bytes": 100,
        "output_crc32": "00000000",
    }
    return Report(
        target="emulate",
        model=ModelReport(name="net", source="net.tflite"),
        evaluation=evaluation,
        mcu=McuReport(emulation=EmulationReport.model_validate({**emulation, **changes})),
    )


def accuracy(value: float, *, float_value: float | None = None, samples: int = 50) -> Any:
    return EvaluationReport(
        metric="accuracy",
        higher_is_better=True,
        samples=samples,
        float_value=float_value,
        int8_value=value,
        drop=None,
        max_drop=1,
        passed=True,
    )


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    return report(accuracy(0.9)).write(tmp_path / "baseline.json")


def failed(now: Report, budget: BudgetSettings) -> list[str]:
    verdicts = judge(now, budget, GateSettings())
    return [verdict.name for verdict in verdicts if not verdict.passed]


@pytest.mark.parametrize(
    ("key", "limit", "name"),
    [
        ("max_arena_bytes", 2000, "arena"),
        ("max_flash_bytes", 1000, "flash"),
        ("max_instructions", 1100, "instructions"),
    ],
)
def test_limit_holds_to_the_last_unit(key: str, limit: int, name: str) -> None:
    assert failed(report(), BudgetSettings(**{key: limit})) == []
    assert failed(report(), BudgetSettings(**{key: limit - 1})) == [name]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"arena_bytes": 2001}, "arena"),
        ({"stack_bytes": 101}, "stack"),
        ({"text_bytes": 301}, "flash"),
        ({"rodata_bytes": 701}, "flash"),
        ({"instructions_max": 1101}, "instructions"),
    ],
)
def test_growth_from_the_baseline_is_a_regression(
    baseline: Path, change: dict[str, int], name: str
) -> None:
    now = report(accuracy(0.9), **change)
    assert failed(now, BudgetSettings(baseline=baseline)) == [name]
    assert failed(now, BudgetSettings(baseline=baseline, max_growth_percent=2)) == []


def test_metric_may_lose_max_drop_from_the_baselines_float_model(tmp_path: Path) -> None:
    file = report(accuracy(0.88, float_value=0.9)).write(tmp_path / "baseline.json")
    budget = BudgetSettings(baseline=file)
    assert failed(report(accuracy(0.891)), budget) == []
    assert failed(report(accuracy(0.889)), budget) == ["accuracy"]


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (report(accuracy(0.9), core="cortex-m7"), "core cortex-m4, this run cortex-m7"),
        (report(accuracy(0.9), runtime="tflm"), "runtime aot, this run tflm"),
        (report(accuracy(0.9, samples=49)), "on 50 samples, this run has accuracy on 49"),
        (report(), "this run has no labels"),
    ],
)
def test_what_cannot_be_compared_is_refused(baseline: Path, now: Report, says: str) -> None:
    with pytest.raises(TidepoolError, match=says):
        judge(now, BudgetSettings(baseline=baseline), GateSettings())


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), ("{}", "target"), ("not JSON", "not a report")],
)
def test_unreadable_baseline_is_one_error(tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "baseline.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TidepoolError, match=says):
        judge(report(), BudgetSettings(baseline=file), GateSettings())


def test_error_names_every_budget_that_failed_with_its_own_exit_code() -> None:
    budget = BudgetSettings(max_arena_bytes=1, max_flash_bytes=2, max_instructions=9999)
    error = budget_error(judge(report(), budget, GateSettings()))
    assert error is not None and error.exit_code is ExitCode.BUDGET
    assert "arena 2,000 bytes, at most 1" in error.message
    assert "flash 1,000 bytes, at most 2" in error.message
    assert "instructions" not in error.message


def test_junit_has_an_error_for_a_run_that_ended_early(tmp_path: Path) -> None:
    output = CiOutput(tmp_path / "junit.xml", tmp_path / "summary.md")
    output.write_error("net", TidepoolError("qemu is <missing> & gone", hint="install it"))
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    (error,) = root.iter("error")
    assert error.get("message") == "qemu is <missing> & gone (install it)"
    assert root.get("errors") == "1"
    assert "> install it" in (tmp_path / "summary.md").read_text()


def test_junit_has_a_failure_for_a_wrong_result(tmp_path: Path) -> None:
    output = CiOutput(tmp_path / "junit.xml", tmp_path / "summary.md")
    output.write(report(bit_exact=False), TidepoolError("differs", exit_code=ExitCode.MISMATCH))
    root = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert [case.get("name") for case in root.iter("testcase") if len(case.findall("failure"))] == [
        "cortex-m4 is bit-exact"
    ]
    assert (tmp_path / "summary.md").read_text().startswith("## net: FAILED")


def test_baseline_of_an_older_version_is_read(tmp_path: Path) -> None:
    document = json.loads(report(accuracy(0.9)).model_dump_json())
    document |= {"field_of_another_version": 1}
    del document["budgets"], document["mcu"]["emulation"]["output_crc32"]
    file = tmp_path / "baseline.json"
    file.write_text(json.dumps(document))
    assert failed(report(accuracy(0.9)), BudgetSettings(baseline=file)) == []

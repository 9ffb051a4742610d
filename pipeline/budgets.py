"""Budgets of a run: what the model may take, and that nothing got worse since an earlier run.

All that is compared is deterministic (counted, planned or linked), so a limit needs no tolerance.
A baseline is the ``report.json`` of an earlier run. Its figures only mean something on the same
core with the same runtime: another one is refused instead of compared.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from converters.errors import ExitCode, TidepoolError
from pipeline.report import BudgetReport, EmulationReport, EvaluationReport, Report
from pipeline.settings import BudgetSettings, GateSettings


class _Part(BaseModel):
    # Another version of the report may have more fields, and lack some that nothing here reads.
    model_config = ConfigDict(extra="ignore")


class _BaselineEmulation(_Part):
    core: str
    runtime: str
    instruction_count_method: str
    instructions_max: int
    arena_bytes: int
    stack_bytes: int
    text_bytes: int
    rodata_bytes: int

    @property
    def flash(self) -> int:
        return self.text_bytes + self.rodata_bytes


class _BaselineMcu(_Part):
    emulation: _BaselineEmulation | None


class _BaselineEvaluation(_Part):
    metric: str
    samples: int
    float_value: float | None
    int8_value: float


class Baseline(_Part):
    """What is read of an earlier run's report."""

    target: str
    mcu: _BaselineMcu | None
    evaluation: _BaselineEvaluation | None


def judge(report: Report, budget: BudgetSettings, gate: GateSettings) -> list[BudgetReport]:
    """Holds a run against its budgets.

    Args:
        report: The run's; it has run on the emulator.
        budget: Limits, and the baseline.
        gate: ``max_drop`` is what the metric may lose from the baseline.

    Returns:
        One verdict for each limit, and for each figure that the baseline has.

    Raises:
        TidepoolError: The baseline can't be read, or can't be compared with this run.
    """
    emulation = report.mcu.emulation if report.mcu is not None else None
    if emulation is None:
        return []
    limits = (
        ("arena", "bytes", emulation.arena_bytes, budget.max_arena_bytes),
        ("flash", "bytes", _flash(emulation), budget.max_flash_bytes),
        ("instructions", "per inference", emulation.instructions_max, budget.max_instructions),
    )
    verdicts = [
        _verdict(name, unit, measured, limit, "limit")
        for name, unit, measured, limit in limits
        if limit is not None
    ]
    if budget.baseline is not None:
        verdicts += _regressions(report, emulation, budget.baseline, budget, gate)
    return verdicts


def budget_error(verdicts: list[BudgetReport]) -> TidepoolError | None:
    """The error of a run that went over a budget; it names each that failed."""
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if not failed:
        return None
    return TidepoolError(
        "over budget: " + "; ".join(map(describe, failed)),
        hint="make the model smaller, or raise the budget on purpose ([budget] in the settings, "
        "a new baseline)",
        exit_code=ExitCode.BUDGET,
    )


def describe(verdict: BudgetReport) -> str:
    """A verdict in words: what was measured, the limit, and where that comes from."""
    source = "" if verdict.source == "limit" else f" ({verdict.source})"
    word = "at least" if verdict.at_least else "at most"
    return (
        f"{verdict.name} {_number(verdict.measured)} {verdict.unit}, "
        f"{word} {_number(verdict.limit)}{source}"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4f}"


def _verdict(
    name: str, unit: str, measured: float, limit: float, source: str, *, at_least: bool = False
) -> BudgetReport:
    passed = measured >= limit if at_least else measured <= limit
    return BudgetReport(
        name=name,
        unit=unit,
        measured=measured,
        limit=limit,
        source=source,
        at_least=at_least,
        passed=passed,
    )


def _flash(emulation: EmulationReport) -> int:
    return emulation.text_bytes + emulation.rodata_bytes


def _regressions(
    report: Report,
    now: EmulationReport,
    file: Path,
    budget: BudgetSettings,
    gate: GateSettings,
) -> list[BudgetReport]:
    baseline = read_baseline(file)
    then = baseline.mcu.emulation if baseline.mcu is not None else None
    if then is None:
        raise TidepoolError(
            f"baseline {file} is the report of a run without an emulator",
            hint="take the report.json of 'tidepool emulate' or 'tidepool deploy --target mcu'",
        )
    for what, one, other in (
        ("core", then.core, now.core),
        ("runtime", then.runtime, now.runtime),
        ("counting method", then.instruction_count_method, now.instruction_count_method),
    ):
        if one != other:
            raise TidepoolError(
                f"baseline {file} has the {what} {one}, this run {other}: they can't be compared",
                hint=f"run with the {what} of the baseline, or take a new baseline",
            )
    growth = 1 + budget.max_growth_percent / 100
    verdicts = [
        _verdict(name, unit, measured, int(before * growth), "baseline")
        for name, unit, measured, before in (
            ("arena", "bytes", now.arena_bytes, then.arena_bytes),
            ("stack", "bytes", now.stack_bytes, then.stack_bytes),
            ("flash", "bytes", _flash(now), then.flash),
            ("instructions", "per inference", now.instructions_max, then.instructions_max),
        )
    ]
    return verdicts + _metric(report.evaluation, baseline.evaluation, file, gate.max_drop)


def _metric(
    now: EvaluationReport | None, then: _BaselineEvaluation | None, file: Path, max_drop: float
) -> list[BudgetReport]:
    """The metric against the baseline's: its float model's where that was measured."""
    if then is None:
        return []
    if now is None:
        raise TidepoolError(
            f"baseline {file} has {then.metric} on {then.samples} samples, this run has no labels",
            hint="give --dataset, so that the metric can be compared",
        )
    if (now.metric, now.samples) != (then.metric, then.samples):
        raise TidepoolError(
            f"baseline {file} has {then.metric} on {then.samples} samples, this run has "
            f"{now.metric} on {now.samples}: they can't be compared",
            hint="use the baseline's dataset, or take a new baseline",
        )
    before = then.float_value if then.float_value is not None else then.int8_value
    at_least = now.higher_is_better
    limit = before - max_drop / 100 if at_least else before * (1 + max_drop / 100)
    unit = f"on {now.samples} samples"
    return [_verdict(now.metric, unit, now.int8_value, limit, "baseline", at_least=at_least)]


def read_baseline(file: Path) -> Baseline:
    """Reads the report of an earlier run.

    Raises:
        TidepoolError: It is missing, or isn't a report.
    """
    hint = "take the report.json that an earlier run left in build/<model>/"
    try:
        return Baseline.model_validate_json(file.read_bytes())
    except OSError as error:
        raise TidepoolError(
            f"baseline {file} can't be read: {error.strerror}", hint=hint
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise TidepoolError(
            f"baseline {file} is not a report of a run: {where}: {first['msg']}", hint=hint
        ) from error

"""What a run leaves for a CI server: JUnit XML for its test view, Markdown for its summary page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from converters.errors import ExitCode, TidepoolError
from converters.files import write_atomic
from pipeline.budgets import describe
from pipeline.report import EmulationReport, Report


@dataclass(frozen=True)
class Check:
    """One line of a CI server's test view.

    Attributes:
        name: What was checked.
        detail: What was found.
        passed: Whether it is as it should be.
    """

    name: str
    detail: str
    passed: bool


@dataclass(frozen=True)
class CiOutput:
    """Where the files for a CI server go; None for those that nobody asked for."""

    junit: Path | None = None
    summary: Path | None = None

    def write(self, report: Report, error: TidepoolError | None) -> None:
        """Writes the files of a run that came to a report."""
        checks = checks_of(report)
        unexplained = error if all(check.passed for check in checks) else None
        if self.junit is not None:
            write_atomic(self.junit, junit_xml(report.model.name, checks, unexplained))
        if self.summary is not None:
            write_atomic(self.summary, markdown(report, checks, unexplained))

    def write_error(self, name: str, error: TidepoolError) -> None:
        """Writes the files of a run that ended before there was a report."""
        if self.junit is not None:
            write_atomic(self.junit, junit_xml(name, [], error))
        if self.summary is not None:
            write_atomic(self.summary, f"## {name}: error\n\n{_quoted(error)}")


def checks_of(report: Report) -> list[Check]:
    """All that a run checked, in the order in which it did."""
    checks: list[Check] = []
    evaluation = report.evaluation
    if evaluation is not None and evaluation.float_value is not None:
        detail = (
            f"float {evaluation.float_value:.4f}, int8 {evaluation.int8_value:.4f}, "
            f"{evaluation.max_drop:g} may be lost"
        )
        checks.append(Check(f"{evaluation.metric} kept", detail, evaluation.passed))
    if report.mcu is not None:
        tflm, emulation = report.mcu.tflm, report.mcu.emulation
        if tflm is not None:
            detail = f"{tflm.samples} samples"
            checks.append(Check("TFLM on this machine is bit-exact", detail, tflm.bit_exact))
        if emulation is not None:
            detail = f"{emulation.samples} samples, {emulation.compared} compared"
            if emulation.mismatch is not None:
                detail += f"; first difference in tensor '{emulation.mismatch.tensor_name}'"
            checks.append(Check(f"{emulation.core} is bit-exact", detail, emulation.bit_exact))
    for verdict in report.budgets:
        kind = "budget" if verdict.source == "limit" else "no worse than the baseline"
        checks.append(Check(f"{verdict.name}: {kind}", describe(verdict), verdict.passed))
    return checks


def junit_xml(name: str, checks: list[Check], error: TidepoolError | None) -> str:
    """JUnit XML: one test case for each check, and one for an error that no check explains."""
    suite = TestSuite(f"tidepool.{name}")
    for check in checks:
        case = TestCase(check.name, suite.name)
        case.system_out = check.detail
        if not check.passed:
            case.result = [Failure(check.detail, "check")]
        suite.add_testcase(case)
    if error is not None:
        case = TestCase("run", suite.name)
        case.result = [Error(str(error), ExitCode(error.exit_code).name)]
        suite.add_testcase(case)
    document = JUnitXml("tidepool")
    document.add_testsuite(suite)
    suite.update_statistics()
    document.update_statistics()
    text: bytes = document.tostring()
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + text.decode() + "\n"


def markdown(report: Report, checks: list[Check], error: TidepoolError | None) -> str:
    """A summary page: the verdicts, then the figures."""
    passed = error is None and all(check.passed for check in checks)
    lines = [f"## {report.model.name}: {'passed' if passed else 'FAILED'}", ""]
    if error is not None:
        lines += [_quoted(error)]
    if checks:
        lines += ["| check | result | |", "| --- | --- | --- |"]
        lines += [
            f"| {_cell(check.name)} | {'ok' if check.passed else '**failed**'} | "
            f"{_cell(check.detail)} |"
            for check in checks
        ]
    emulation = report.mcu.emulation if report.mcu is not None else None
    if emulation is not None:
        lines += ["", *_figures(emulation)]
    return "\n".join(lines) + "\n"


def _figures(emulation: EmulationReport) -> list[str]:
    cycles = emulation.estimated_cycles
    rows = (
        ("instructions per inference (not cycles)", f"{emulation.instructions_max:,}"),
        *((("estimated cycles (Cortex-M4)", f"{cycles:,}"),) if cycles is not None else ()),
        ("arena", f"{emulation.arena_bytes:,} bytes"),
        ("stack", f"{emulation.stack_bytes:,} bytes"),
        ("code", f"{emulation.text_bytes:,} bytes"),
        ("constants", f"{emulation.rodata_bytes:,} bytes"),
        ("output CRC-32", f"`{emulation.output_crc32}`"),
    )
    head = f"| {emulation.core}, {emulation.runtime} | |"
    return [head, "| --- | ---: |", *(f"| {name} | {value} |" for name, value in rows)]


def _quoted(error: TidepoolError) -> str:
    lines = f"{error.message}\n\n{error.hint}".strip().splitlines()
    return "\n".join(f"> {line}".rstrip() for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

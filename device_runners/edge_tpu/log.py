"""What the Edge TPU compiler reports, on the terminal and in its log file, versions 1.0 to 16.0."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from converters.errors import TidepoolError

MAPPED = "Mapped to Edge TPU"
"""The status of operators that run on the Edge TPU; any other status means the CPU."""

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = r"([\d.]+) ?(B|KiB|MiB|GiB)\b"
_VERSION = re.compile(r"Edge TPU Compiler version ([\d.]+)")
# The terminal says "Input model:", the log file "Input:". One such line a model.
_SECTION = re.compile(r"^\s*Input(?: model)?:\s*(\S.*?)\s*$", re.MULTILINE)
_DURATION = re.compile(r"Models? compiled successfully in (\d+) ?ms")
_TABLE_HEAD = re.compile(r"^\s*Operator\s+Count\s+Status\s*$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^\s*([A-Z][A-Z0-9_]*)\s+(\d+)\s+(\S.*?)\s*$")
_WARNING = re.compile(r"^\s*Warning:\s*(\S.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class OperatorRow:
    """Operators of one kind that fared alike.

    Attributes:
        opcode: TFLite's name of the op.
        count: How many of them.
        status: ``MAPPED``, or why they stay on the CPU.
    """

    opcode: str
    count: int
    status: str


@dataclass(frozen=True)
class CompileReport:
    """What the compiler says of one model. A figure that it didn't print is None.

    Sizes are in bytes, to the precision that the compiler prints (a hundredth of its unit).

    Attributes:
        version: The compiler's version, for example ``16.0.384591198``.
        duration_ms: Milliseconds that the compilation took; of models that were compiled
            together, that of all.
        input_bytes: Size of the input model.
        output_bytes: Size of the output model.
        on_chip_used_bytes: Parameters cached in the Edge TPU's memory.
        on_chip_remaining_bytes: What is left of that memory.
        off_chip_bytes: Parameters that don't fit and are streamed for every inference.
        subgraphs: Parts of the graph that run on the Edge TPU in one piece.
        total_operations: Operators of the input model.
        tpu_operations: Those that run on the Edge TPU.
        cpu_operations: Those that run on the CPU.
        operators: The operator table; empty when it wasn't printed.
        input_model: The model's file, as the compiler names it; empty when it doesn't.
        output_model: The compiled file, likewise.
    """

    version: str
    duration_ms: int | None
    input_bytes: int | None
    output_bytes: int | None
    on_chip_used_bytes: int | None
    on_chip_remaining_bytes: int | None
    off_chip_bytes: int | None
    subgraphs: int | None
    total_operations: int | None
    tpu_operations: int | None
    cpu_operations: int | None
    operators: tuple[OperatorRow, ...]
    input_model: str = ""
    output_model: str = ""

    @property
    def unmapped(self) -> tuple[OperatorRow, ...]:
        """The rows of the operators that stay on the CPU."""
        return tuple(row for row in self.operators if row.status != MAPPED)


def parse_version(text: str) -> str:
    """The compiler's version, which its every output begins with.

    Raises:
        TidepoolError: The text isn't the compiler's.
    """
    version = _VERSION.search(text)
    if version is None:
        raise TidepoolError(
            "this is not output of the Edge TPU compiler: it doesn't name the compiler's version",
            hint="run edgetpu_compiler by hand to see what it prints",
        )
    return version.group(1)


def parse_reports(text: str) -> tuple[CompileReport, ...]:
    """Reads the compiler's output: a report for each model or segment that compiled, in order.

    What a search for a delegate (``-d``) prints of its failed tries holds no report. A log file
    has one. Output that names no model at all gives one report of what it does say.

    Raises:
        TidepoolError: The text isn't the compiler's.
    """
    version = parse_version(text)
    starts = [match.start() for match in _SECTION.finditer(text)]
    if not starts:
        return (_report(version, text, text),)
    ends = [*starts[1:], len(text)]
    return tuple(
        _report(version, text[start:end], text[:start])
        for start, end in zip(starts, ends, strict=True)
    )


def parse_report(text: str) -> CompileReport:
    """Reads the compiler's output for one model, or the log file of one model.

    Raises:
        TidepoolError: The text isn't the compiler's, or it reports several models.
    """
    reports = parse_reports(text)
    if len(reports) > 1:
        raise TidepoolError(
            f"the Edge TPU compiler's output reports {len(reports)} models or segments, not one",
            hint="these are co-compiled models or the segments of one: read them all",
        )
    return reports[0]


def parse_warnings(text: str) -> tuple[str, ...]:
    """The compiler's warnings, each once."""
    return tuple(dict.fromkeys(_WARNING.findall(text)))


def total_report(reports: Sequence[CompileReport]) -> CompileReport:
    """One report over the segments of a model; what one of them doesn't say is unknown.

    Each segment has an Edge TPU of its own, so that no figure says what remains of the memory.
    """
    if len(reports) == 1:
        return reports[0]

    def total(figure: Callable[[CompileReport], int | None]) -> int | None:
        figures = [figure(report) for report in reports]
        return None if None in figures else sum(value or 0 for value in figures)

    counts: Counter[tuple[str, str]] = Counter()
    for report in reports:
        for row in report.operators:
            counts[row.opcode, row.status] += row.count
    return CompileReport(
        version=reports[0].version,
        duration_ms=total(lambda r: r.duration_ms),
        input_bytes=total(lambda r: r.input_bytes),
        output_bytes=total(lambda r: r.output_bytes),
        on_chip_used_bytes=total(lambda r: r.on_chip_used_bytes),
        on_chip_remaining_bytes=None,
        off_chip_bytes=total(lambda r: r.off_chip_bytes),
        subgraphs=total(lambda r: r.subgraphs),
        total_operations=total(lambda r: r.total_operations),
        tpu_operations=total(lambda r: r.tpu_operations),
        cpu_operations=total(lambda r: r.cpu_operations),
        operators=tuple(OperatorRow(op, count, status) for (op, status), count in counts.items()),
    )


def _report(version: str, text: str, before: str) -> CompileReport:
    """The report in one model's section; the duration stands before it."""
    rows = _operator_rows(text)
    total = _number(text, r"Total number of operations: (\d+)")
    if total is None and rows:
        total = sum(row.count for row in rows)
    tpu, cpu = _mapped_operations(text, total, rows)
    used = _size(text, "On-chip memory used for caching model parameters")
    durations = _DURATION.findall(before)
    return CompileReport(
        version=version,
        duration_ms=int(durations[-1]) if durations else None,
        input_bytes=_size(text, "Input size"),
        output_bytes=_size(text, "Output size"),
        on_chip_used_bytes=used,
        on_chip_remaining_bytes=_remaining(text, used),
        off_chip_bytes=_size(text, "Off-chip memory used for streaming uncached model parameters"),
        subgraphs=_number(text, r"Number of Edge TPU subgraphs: (\d+)"),
        total_operations=total,
        tpu_operations=tpu,
        cpu_operations=cpu,
        operators=rows,
        input_model=_text(text, r"^\s*Input(?: model)?:"),
        output_model=_text(text, r"^\s*Output(?: model)?:"),
    )


def _mapped_operations(
    text: str, total: int | None, rows: tuple[OperatorRow, ...]
) -> tuple[int | None, int | None]:
    tpu = _number(text, r"Number of operations that will run on Edge TPU: (\d+)")
    cpu = _number(text, r"Number of operations that will run on CPU: (\d+)")
    if tpu is not None and cpu is not None:
        return tpu, cpu
    if rows:
        cpu = sum(row.count for row in rows if row.status != MAPPED)
        return sum(row.count for row in rows) - cpu, cpu
    # The two lines are printed only when something stays on the CPU.
    return (None, None) if total is None else (total, 0)


def _remaining(text: str, used: int | None) -> int | None:
    remaining = _size(text, "On-chip memory remaining for caching model parameters")
    # Until 2.0 the compiler printed what there was before the model took its part.
    available = _size(text, "On-chip memory available for caching model parameters")
    if remaining is None and available is not None and used is not None:
        return available - used
    return remaining


def _operator_rows(text: str) -> tuple[OperatorRow, ...]:
    heads = list(_TABLE_HEAD.finditer(text))
    if not heads:
        return ()
    rows = []
    for line in text[heads[-1].end() :].splitlines():
        match = _TABLE_ROW.match(line)
        if match:
            rows.append(OperatorRow(match.group(1), int(match.group(2)), match.group(3)))
    return tuple(rows)


def _text(text: str, label: str) -> str:
    found = re.search(rf"{label}\s*(\S.*?)\s*$", text, re.MULTILINE)
    return found.group(1) if found else ""


def _number(text: str, pattern: str) -> int | None:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else None


def _size(text: str, label: str) -> int | None:
    found = re.findall(rf"{label}: *{_SIZE}", text)
    if not found:
        return None
    number, unit = found[-1]
    return round(float(number) * _UNITS[unit])

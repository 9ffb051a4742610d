"""What a run on a real board found out: as JSON, and as the rows of a table."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from converters.files import write_atomic
from pipeline.report import MismatchReport

CLOCK_NOTE = (
    "measured at the clock after reset, which the firmware leaves as it is: at a higher one the "
    "flash's wait states cost more cycles, as far as caches don't hide them"
)


class CyclesReport(BaseModel):
    """Cycles of one inference over all samples, and what they are at a clock.

    Attributes:
        minimum: Of the fastest sample.
        median: Of the middle one.
        maximum: Of the slowest one.
        clock_hz: The clock that the milliseconds are for.
        note: How to read the milliseconds.
    """

    model_config = ConfigDict(extra="forbid")

    minimum: int
    median: int
    maximum: int
    clock_hz: int
    milliseconds_minimum: float
    milliseconds_median: float
    milliseconds_maximum: float
    note: str


def cycles_report(cycles: Sequence[int], clock_hz: int) -> CyclesReport:
    """Sums up the cycles of all samples.

    Args:
        cycles: Of each sample.
        clock_hz: The clock to convert them with.
    """
    figures = (min(cycles), int(statistics.median_low(cycles)), max(cycles))
    milliseconds = [figure / clock_hz * 1e3 for figure in figures]
    return CyclesReport(
        minimum=figures[0],
        median=figures[1],
        maximum=figures[2],
        clock_hz=clock_hz,
        milliseconds_minimum=milliseconds[0],
        milliseconds_median=milliseconds[1],
        milliseconds_maximum=milliseconds[2],
        note=CLOCK_NOTE,
    )


class BoardReport(BaseModel):
    """One run on a board.

    Attributes:
        model: The model's name.
        board: The board.
        core: Its core.
        runtime: What executed the model.
        tool: What talked to the probe.
        tool_version: Its version; empty when it doesn't tell.
        commands: What was run, as a shell takes it.
        directory: The folder with ``inputs.bin``, ``outputs.bin``, ``ticks.bin`` and the logs.
        inputs: Where the samples come from.
        samples: How many ran.
        bit_exact: Whether every output byte is the reference's.
        mismatch: The first difference.
        cycles: What the core took; None when the counters can't be trusted.
        cycles_note: Why there are none; empty otherwise.
        instructions: Of one inference, as the emulator counted them for the same model, core and
            runtime in an earlier run; None when there was none.
        flash_bytes: What the whole image takes of the flash.
        ram_bytes: What the whole image reserves of the RAM.
        arena_bytes: Inputs, outputs, activations and scratch.
        stack_bytes: High-water mark of the stack.
        output_crc32: Checksum over all outputs of sample 0.
        seconds: Time on the host, flashing included.
        metric: Name of the dataset's metric; None where it allows none.
        host_value: The metric of the reference's outputs on these samples.
        board_value: The metric of the board's outputs.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    board: str
    core: str
    runtime: str
    tool: str
    tool_version: str
    commands: list[str]
    directory: str
    inputs: str
    samples: int
    bit_exact: bool
    mismatch: MismatchReport | None
    cycles: CyclesReport | None
    cycles_note: str
    instructions: int | None
    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    stack_bytes: int
    output_crc32: str
    seconds: float
    metric: str | None = None
    host_value: float | None = None
    board_value: float | None = None

    def rows(self) -> tuple[tuple[str, str], ...]:
        """The report as labels and values for a table of two columns."""
        return tuple(_rows(self))

    def write(self, path: Path) -> Path:
        """Writes it as JSON."""
        return write_atomic(path, self.model_dump_json(indent=2) + "\n")


def _rows(report: BoardReport) -> Iterator[tuple[str, str]]:
    yield "board", f"{report.board} ({report.core}), by {report.tool} {report.tool_version}".strip()
    exact = "bit-exact" if report.bit_exact else "DIFFERS from the reference"
    yield (
        report.runtime,
        f"{exact} on {report.samples} samples of {report.inputs}, "
        f"output CRC32 {report.output_crc32}",
    )
    if report.mismatch is not None:
        bad = report.mismatch
        yield (
            "first difference",
            f"sample {bad.sample}, output '{bad.tensor_name}': {bad.differing_elements} of "
            f"{bad.total_elements} elements, worst by {bad.worst_difference}",
        )
    if report.cycles is None:
        yield "cycles", f"unknown: {report.cycles_note}"
    else:
        yield from _cycle_rows(report.cycles, report.instructions)
    if report.metric is not None:
        yield (
            f"{report.metric} of these samples",
            f"host {report.host_value:.4f}, board {report.board_value:.4f}",
        )
    yield "arena, stack", f"{report.arena_bytes:,} and {report.stack_bytes:,} bytes"
    yield (
        "image, harness included",
        f"{report.flash_bytes:,} bytes of flash, {report.ram_bytes:,} bytes of RAM",
    )
    yield "results", report.directory


def _cycle_rows(cycles: CyclesReport, instructions: int | None) -> Iterator[tuple[str, str]]:
    yield (
        "cycles per inference",
        f"median {cycles.median:,}, from {cycles.minimum:,} to {cycles.maximum:,}",
    )
    yield (
        f"at {cycles.clock_hz / 1e6:g} MHz",
        f"median {cycles.milliseconds_median:.3f} ms, from {cycles.milliseconds_minimum:.3f} to "
        f"{cycles.milliseconds_maximum:.3f} ms; {cycles.note}",
    )
    if instructions is not None:
        yield (
            "cycles per instruction",
            f"{cycles.median / instructions:.2f} ({instructions:,} instructions on the emulator)",
        )

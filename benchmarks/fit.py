"""Which boards MLPerf Tiny's four models fit: writes ``docs/fit.md``.

    python benchmarks/fit.py [--models DIR] [--out FILE]

Every figure is measured on a link of the generated code for the board's core; nothing is emulated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from converters.errors import TidepoolError
from converters.files import write_atomic
from converters.tflite import read_graph
from device_runners.cortex_m import (
    CORES,
    FIT_HEADINGS,
    FitReport,
    Footprint,
    RuntimeKind,
    all_boards,
    tool_status,
)
from device_runners.cortex_m.fit import STACK_RESERVE_BYTES
from device_runners.cortex_m.tools import ARM_GCC
from device_runners.runner import Int8Model
from pipeline import display
from pipeline.stages.fit import fit_boards

_MODELS = ("ad", "ic", "kws", "vww")


def main(
    models: Annotated[Path, typer.Option(help="Folder of the MLPerf Tiny models.")] = Path(
        "../shared/mlperf_tiny"
    ),
    out: Annotated[Path, typer.Option(help="The page.")] = Path("docs/fit.md"),
) -> None:
    """Link the MLPerf Tiny models for every kind of core and compare with every board."""
    terminal = display.Terminal()
    try:
        names: dict[str, str] = json.loads((models / "tflm_baseline.json").read_text())["models"]
        reports = []
        for name in _MODELS:
            path = models / names[name]
            model = Int8Model(name, path.read_bytes(), read_graph(path))
            reports.append(fit_boards(model, all_boards(), RuntimeKind.AOT, terminal))
        write_atomic(out, fit_page(reports))
        terminal.note(f"written: {out}")
    except FileNotFoundError as error:
        missing = TidepoolError(
            f"there is no {error.filename}",
            hint="name the folder of the MLPerf Tiny models with --models",
        )
        display.show_error(missing)
        raise typer.Exit(missing.exit_code) from None
    except TidepoolError as error:
        display.show_error(error)
        raise typer.Exit(error.exit_code) from None


def fit_page(reports: list[FitReport]) -> str:
    """The page: a table of footprints, and for each model a table of boards."""
    lines = [
        "# Which boards a model fits",
        "",
        "`tidepool fit MODEL` links a model for the core of every board and compares. This is what "
        "it says of the four models of MLPerf Tiny with the ahead-of-time code, written by "
        f"`python benchmarks/fit.py` (arm-none-eabi-gcc {tool_status(ARM_GCC).version}, `-O2`).",
        "",
        "Counted is what a product would link: in flash the model's weights, tables and code, its "
        "kernels and what these pull in of the C library; in RAM the arena, variables and a "
        f"reserve of {STACK_RESERVE_BYTES:,} bytes for the stack, of which `tidepool emulate` "
        "measures how much an inference takes. Not counted: vector table, start-up code, and the "
        "harness that feeds samples. The RAM is the largest piece without a gap that needs no "
        "set-up; the column *in* names its regions. [boards.md](boards.md) has the memory maps.",
        "",
        "## Footprints",
        "",
        "| model | core | code | weights, tables | flash | arena | stack | RAM |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for report in reports:
        lines += [_footprint_row(report.model, *each) for each in _by_core(report)]
    for report in reports:
        lines += [
            "",
            f"## {report.model}",
            "",
            f"Fits {len(report.fitting)} of {len(report.boards)} boards.",
            "",
            "| " + " | ".join(FIT_HEADINGS) + " |",
            "| " + " | ".join("---" for _ in FIT_HEADINGS) + " |",
            *("| " + " | ".join(row) + " |" for row in report.rows()),
        ]
    return "\n".join(lines) + "\n"


def _by_core(report: FitReport) -> list[tuple[str, Footprint]]:
    """A footprint for each core; those of a core's different FPUs are listed if they differ."""
    found: dict[tuple[str, Footprint], None] = {}
    for each in report.boards:
        if each.footprint is not None:
            found[each.board.core, each.footprint] = None
    return sorted(found, key=lambda item: list(CORES).index(item[0]))


def _footprint_row(model: str, core: str, footprint: Footprint) -> str:
    figures = (
        footprint.text_bytes,
        footprint.rodata_bytes,
        footprint.flash_bytes,
        footprint.arena_bytes,
        footprint.stack_bytes,
        footprint.ram_bytes,
    )
    return f"| {model} | {core} | " + " | ".join(f"{figure:,}" for figure in figures) + " |"


if __name__ == "__main__":
    typer.run(main)

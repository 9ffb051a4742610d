"""The benchmark on a real board: the firmware of ``tidepool flash``, whose cycles the core counts.

The firmware reads DWT's CYCCNT around each inference (``ticks.c``), or SysTick where there is none.
Nothing of it needs a probe until all models are built.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.files import write_atomic
from device_runners import cortex_m
from device_runners.cgen import Isa
from pipeline import flash
from pipeline.board_report import BoardReport
from pipeline.listener import Listener
from pipeline.report import EmulationReport
from pipeline.settings import Settings, load_settings
from pipeline.source import Source
from pipeline.stages import mcu


@dataclass(frozen=True)
class Job:
    """A model that is built for the board.

    Attributes:
        model: Its short name.
        core: The board's core.
        settings: What it was built with.
        built: Its firmware, and what it is to be tried on.
        plan: The commands that flash and run it.
    """

    model: str
    core: str
    settings: Settings
    built: flash.BoardTrial
    plan: cortex_m.FlashPlan


@dataclass(frozen=True)
class OnBoard:
    """A model that ran on the board.

    Attributes:
        report: What the board computed and took.
        instructions: Of one inference, as the emulator counted them on the same core.
        estimated_cycles: What these would take on a Cortex-M4 by its published timing; None for
            code with instructions that it hasn't got.
    """

    report: BoardReport
    instructions: int
    estimated_cycles: int | None


def build(
    models: Mapping[str, Path], name: str, probe: str, out: Path, listener: Listener
) -> list[Job]:
    """Builds the firmware with each model, and looks for the probe.

    Args:
        models: Short name -> the int8 file.
        name: The board.
        probe: ID of the probe; empty for the only one.
        out: ``board-<name>/`` goes there.
        listener: Hears of the progress.

    Raises:
        TidepoolError: There is no such board, it can't be flashed, or tool or probe are missing;
            then all firmware is built, and the hint has the commands that would have run.
    """
    board = cortex_m.find_board(name)
    cortex_m.choose_tool(board, None)  # should not cost four builds
    settings = load_settings(None, {"build_directory": out / f"board-{board.name}"})
    jobs = []
    for model, path in models.items():
        built = flash.build(Source(path, model), board, settings, listener)
        plan = cortex_m.plan_flash(built.firmware, None, probe)
        jobs.append(Job(model, board.core, settings, built, plan))
    flash.require_ready([(job.plan, job.built) for job in jobs])
    return jobs


def run(job: Job, emulated: EmulationReport, listener: Listener) -> OnBoard:
    """Flashes the board with a model and runs it there.

    Args:
        job: What ``build`` made.
        emulated: The same model on the same core of the emulator.
        listener: Hears of the progress.

    Raises:
        TidepoolError: Tool or board fail. A difference from the reference is in the report.
    """
    report = flash.run_on_board(job.built, job.plan, job.settings, listener)
    report.instructions = emulated.instructions
    estimate = emulated.estimated_cycles if mcu.isa_of(job.core) is not Isa.MVE else None
    return OnBoard(report, emulated.instructions, estimate)


def write(found: Sequence[OnBoard], out: Path) -> Path:
    """Writes ``board-<name>.json``: for each model the board's report and the estimate."""
    content: dict[str, Any] = {
        each.report.model: {
            **each.report.model_dump(mode="json"),
            "estimated_cycles": each.estimated_cycles,
        }
        for each in found
    }
    path = out / f"board-{found[0].report.board}.json"
    return write_atomic(path, json.dumps(content, indent=2) + "\n")

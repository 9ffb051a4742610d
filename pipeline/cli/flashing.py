"""``tidepool flash``: a model on a real board."""

from __future__ import annotations

from typing import Annotated

import typer

from device_runners.cortex_m.probes import FlashToolKind
from pipeline.cli import options
from pipeline.cli.common import settings_of
from pipeline.source import resolve


def flash(
    model: options.Model,
    board: Annotated[
        str, typer.Option("--board", metavar="NAME", help="The board that is connected.")
    ],
    dataset: options.Dataset = None,
    samples: Annotated[
        str | None,
        typer.Option("--samples", metavar="N", help="Samples to run (16); 'all' for all of them."),
    ] = None,
    runtime: options.RuntimeOption = None,
    tool: Annotated[
        FlashToolKind | None,
        typer.Option("--tool", help="What talks to the probe; the one that is installed."),
    ] = None,
    probe: Annotated[
        str,
        typer.Option("--probe", metavar="ID", help="The probe, where several are connected."),
    ] = "",
    clock: Annotated[
        float | None,
        typer.Option(
            "--clock",
            metavar="MHZ",
            min=0.001,
            help="Convert cycles to milliseconds at this clock; the board's highest.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=0.1, help="For each sample (60)."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Build, and print the commands instead of running them."),
    ] = False,
    config: options.Config = None,
    build_directory: options.BuildDirectory = None,
    json: options.Json = False,
) -> None:
    """Flash a board with a model, compare every output byte with the reference, read the cycles.

    MODEL is a full-integer .tflite, or a model that was converted before. Needs a debug probe, and
    pyocd (pip install 'tidepool[flash]') or openocd. Exit code 5 when the board computes something
    else than the reference.
    """
    from rich.markup import escape

    from device_runners.cortex_m import find_board
    from pipeline import display
    from pipeline import flash as flashing

    source = resolve(model)
    settings = settings_of(
        source,
        config,
        {
            "dataset.source": dataset,
            "mcu.runtime": runtime,
            "mcu.timeout_seconds": timeout,
            "build_directory": build_directory,
        },
        samples,
    )
    clock_hz = None if clock is None else round(clock * 1e6)
    result = flashing.flash(
        source,
        find_board(board),
        settings,
        display.Terminal(),
        flashing.FlashOptions(tool, probe, clock_hz, dry_run),
    )
    if result.report is None:
        display.show_json(result.plan_json() if json else "\n".join(result.plan.lines()))
    elif json:
        display.show_json(result.report.model_dump_json(indent=2))
    else:
        rows = [(label, escape(value)) for label, value in result.report.rows()]
        title = escape(f"{result.report.model} on {result.report.board}")
        display.show_rows(title, ("what", "value"), rows)
    if result.error is not None:
        raise result.error

"""Verbs about boards: boards list, boards show, fit."""

from __future__ import annotations

from typing import Annotated

import typer

from converters.errors import ExitCode
from device_runners import cortex_m
from pipeline.cli import options
from pipeline.cli.common import settings_of
from pipeline.source import resolve

boards = typer.Typer(no_args_is_help=True, help="The boards that firmware is built for.")

BoardArgument = Annotated[
    str, typer.Argument(metavar="BOARD", help="A board's name, or a core's: cortex-m4.")
]
OnBoards = Annotated[
    list[str] | None,
    typer.Option("--board", metavar="BOARD", help="Only this board; repeatable. Default: all."),
]


@boards.command("list")
def list_boards(json: options.Json = False) -> None:
    """List every board: core, clock, flash, RAM, emulator, pyOCD target."""
    from pipeline import display

    if json:
        display.show_json(cortex_m.board_json(cortex_m.all_boards()))
    else:
        rows = cortex_m.board_rows(cortex_m.all_boards())
        display.show_rows("Boards", cortex_m.BOARD_HEADINGS, rows)


@boards.command("show")
def show_board(board: BoardArgument, json: options.Json = False) -> None:
    """Show one board: memory map, compiler flags, flash tools, sources of the figures."""
    from pipeline import display

    found = cortex_m.find_board(board)
    if json:
        display.show_json(cortex_m.board_json(found))
    else:
        display.show_rows(found.name, ("what", "value"), cortex_m.board_details(found))


def fit(
    model: options.Model,
    board: OnBoards = None,
    config: options.Config = None,
    runtime: options.RuntimeOption = None,
    optimize: options.OptimizeOption = None,
    build_directory: options.BuildDirectory = None,
    json: options.Json = False,
) -> None:
    """Say which boards' flash and RAM a full-integer model fits, and by how much.

    MODEL is a .tflite, or a model that was converted before. It is linked for the core of every
    board. Exit code 1 when it doesn't fit one of the boards named with --board.
    """
    from pipeline import display, run

    chosen = tuple(cortex_m.find_board(each) for each in board or ()) or cortex_m.all_boards()
    source = resolve(model)
    overrides = {
        "mcu.runtime": runtime,
        "mcu.optimize": optimize,
        "build_directory": build_directory,
    }
    settings = settings_of(source, config, overrides)
    report = run.fit(source, settings, chosen, display.Terminal())
    if json:
        display.show_json(report.to_json())
    else:
        display.show_rows(f"{report.model} on boards", cortex_m.FIT_HEADINGS, report.rows())
    missing = bool(board) and len(report.fitting) < len(chosen)
    raise typer.Exit(ExitCode.ERROR if missing else ExitCode.OK)

"""The ``tidepool`` command. The only place that prints and that sets the exit code."""

from __future__ import annotations

import os
import sys

import typer

from converters.errors import TidepoolError
from pipeline.cli.boards import boards, fit
from pipeline.cli.compiling import compile_models
from pipeline.cli.deploying import convert, deploy, emulate
from pipeline.cli.examining import check, doctor, inspect
from pipeline.cli.flashing import flash
from pipeline.cli.running import run
from pipeline.cli.shipping import export
from pipeline.settings import QatMode

app = typer.Typer(
    name="tidepool",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Keras models to the Coral Edge TPU and to Cortex-M, bit-exact and proven on an emulator."
    "\n\nExit codes: 0 success; 1 an error, with its message; 2 a wrong command line; 3 the model "
    "lost too much accuracy; 4 the Edge TPU compiler is missing; 5 the device computed something "
    "else than the reference; 6 the model takes more than its budget.",
)
# In the order of --help.
for _verb in (deploy, convert, check, inspect, emulate, flash, export, fit, run, doctor):
    app.command()(_verb)
app.command("compile")(compile_models)
app.add_typer(boards, name="boards")


def _with_values(arguments: list[str]) -> list[str]:
    """Gives a bare ``--qat`` its value: the parser knows no options with an optional one."""
    modes = set(QatMode)
    result: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        result.append(argument)
        if argument == "--qat" and following not in modes:
            result.append(QatMode.ON)
    return result


def main() -> None:
    """The console script's entry point."""
    # TensorFlow's start-up chatter says nothing that a user of this command could act on; and
    # oneDNN's kernels round differently from run to run of different thread counts.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        app(_with_values(sys.argv[1:]))
    except TidepoolError as error:
        from pipeline import display

        display.show_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)

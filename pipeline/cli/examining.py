"""Verbs that only look: check, inspect, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from converters.errors import ExitCode
from pipeline.cli import options
from pipeline.cli.common import settings_of
from pipeline.settings import Target
from pipeline.source import resolve


def check(
    model: options.Model,
    target: Annotated[Target, typer.Option("--target", help="What to check for.")] = Target.MCU,
    rewrite: options.Rewrite = None,
    config: options.Config = None,
    build_directory: options.BuildDirectory = None,
    json: options.Json = False,
) -> None:
    """Say what would stand in the way of building a full-integer model for a target.

    MODEL is a .tflite, or a model that was converted before. Builds nothing. For the Edge TPU it
    predicts operator by operator what the compiler will map, the parameter memory and the latency,
    and what rewriting will change. Exit code 1 when something blocks: an op without a kernel, or a
    file that the compiler refuses.
    """
    from pipeline import display, run

    source = resolve(model)
    settings = settings_of(
        source, config, {"build_directory": build_directory, "edge_tpu.rewrite": rewrite}
    )
    if target is Target.EDGE_TPU:
        outlook = run.predict_edge_tpu(source, settings)
        blocked = outlook.blocked
        if json:
            display.show_json(outlook.to_json())
        else:
            display.show_outlook(f"{source.name} for the Edge TPU", outlook)
    else:
        findings = run.check_mcu(source, settings)
        blocked = bool(findings.blocking)
        if json:
            display.show_json(run.findings_json(findings))
        else:
            display.show_findings(f"{source.name} for {target.value}", findings)
    raise typer.Exit(ExitCode.ERROR if blocked else ExitCode.OK)


def inspect(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="An _edgetpu.tflite: the compiler's output.")
    ],
    json: options.Json = False,
) -> None:
    """Show what a model compiled for the Edge TPU holds.

    Executables, cached and streamed bytes, scratch, the runtime version that it needs, its caching
    token, layers, and which operators stayed on the CPU.
    """
    from device_runners.edge_tpu.package import read_package
    from pipeline import display

    package = read_package(model)
    if json:
        display.show_json(package.to_json())
    else:
        display.show_rows(package.name, ("what", "value"), list(package.rows()))


def doctor(json: options.Json = False) -> None:
    """Say what is installed, what is missing, and how to get it.

    Exit code 1 when something that the Cortex-M target needs is missing.
    """
    from pipeline import display
    from pipeline import doctor as examination

    diagnosis = examination.examine()
    if json:
        display.show_json(diagnosis.to_json())
    else:
        display.show_rows("tidepool doctor", examination.HEADINGS, diagnosis.rows())
    raise typer.Exit(ExitCode.OK if diagnosis.healthy else ExitCode.ERROR)

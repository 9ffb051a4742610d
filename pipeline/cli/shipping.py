"""Verbs that take a built model on to somebody's firmware: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from device_runners.exports import FORMATS, Identity, Runtime
from pipeline.cli import options
from pipeline.cli.common import settings_of
from pipeline.source import resolve


def export(
    model: options.Model,
    format_name: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMATS)}.")
    ],
    runtime: Annotated[
        Runtime,
        typer.Option("--runtime", help="aot: generated C. tflm: the model as an array."),
    ] = Runtime.AOT,
    core: options.Core = None,
    optimize: options.OptimizeOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Instead of build/<model>/export/<format>-<runtime>."
        ),
    ] = None,
    package_version: Annotated[
        str, typer.Option("--package-version", metavar="X.Y.Z", help="The package's version.")
    ] = "1.0.0",
    vendor: Annotated[
        str, typer.Option("--vendor", metavar="NAME", help="Who publishes the package.")
    ] = "Tidepool",
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="The package's home page.")
    ] = "https://example.com/",
    config: options.Config = None,
    build_directory: options.BuildDirectory = None,
    json: options.Json = False,
) -> None:
    """Write an int8 model as a library for Arduino, PlatformIO, Zephyr, ESP-IDF, CMSIS or CMake.

    MODEL is a .tflite, or a model that was converted before. Its sources are run on this machine
    first; each package brings an example that proves the same on the board.
    """
    from rich.markup import escape

    from pipeline import display
    from pipeline import export as exporting

    source = resolve(model)
    settings = settings_of(
        source,
        config,
        {"mcu.core": core, "mcu.optimize": optimize, "build_directory": build_directory},
    )
    report = exporting.export(
        source,
        settings,
        format_name,
        runtime,
        out,
        display.Terminal(),
        identity=Identity(package_version, vendor, url),
    )
    if json:
        display.show_json(report.to_json())
    else:
        rows = [(escape(label), escape(value)) for label, value in report.rows()]
        display.show_rows(f"{report.model} → {report.format}", ("what", "value"), rows)

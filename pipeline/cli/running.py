"""``tidepool run``: a compiled model on an attached device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from converters.errors import TidepoolError
from pipeline.cli.options import Config, Json
from pipeline.settings import load_settings


def run(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="An _edgetpu.tflite; with --device cpu also the .tflite before compilation.",
        ),
    ],
    inputs: Annotated[
        str | None,
        typer.Option(
            "--inputs",
            metavar="DATASET",
            help="Recipe .py, .npz or .npy, or folder of images by class: real values, or arrays "
            "in the input's integer type. Without it reproducible noise.",
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="DEVICE",
            help="auto, usb, pci, :N, usb:N or pci:N; cpu: the model before compilation, here.",
        ),
    ] = "auto",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="Of libedgetpu, for a device with an index: Performance=Low, Medium, High or "
            "Max; Usb.AlwaysDfu; Usb.MaxBulkInQueueLength. May be repeated.",
        ),
    ] = None,
    host_model: Annotated[
        Path | None,
        typer.Option(
            "--host-model",
            metavar="FILE",
            help="The .tflite before compilation, for the reference; else the one beside MODEL.",
        ),
    ] = None,
    samples: Annotated[
        str | None,
        typer.Option("--samples", metavar="N", help="Samples to run (16); 'all' for all of them."),
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", metavar="N", min=1, help="Inferences that are timed.")
    ] = 100,
    warmup: Annotated[
        int, typer.Option("--warmup", metavar="N", min=0, help="Inferences before these.")
    ] = 10,
    max_difference: Annotated[
        float | None,
        typer.Option(
            "--max-difference",
            metavar="LSB",
            help="Exit code 5 when an output differs by more from the reference.",
        ),
    ] = None,
    library: Annotated[
        str,
        typer.Option(
            "--library", metavar="FILE", help="libedgetpu, where EDGETPU_LIBRARY doesn't say."
        ),
    ] = "",
    python: Annotated[
        Path | None,
        typer.Option(
            "--python", metavar="FILE", help="A Python with another interpreter than this one's."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="For all inferences.")
    ] = 600,
    config: Config = None,
    json: Json = False,
) -> None:
    """Run a model compiled for the Edge TPU on a Coral board or stick that is attached here.

    Compares its outputs with the reference on the model before compilation, and gives latency
    percentiles. --device cpu runs the model before compilation on this machine, and says so.
    """
    from rich.markup import escape

    from device_runners.edge_tpu.device import DeviceOptions
    from pipeline import device_run, display

    count: int | None = device_run.DEFAULT_SAMPLES
    if samples is not None:
        if samples != "all" and (not samples.isdecimal() or int(samples) < 1):
            raise TidepoolError(
                f"--samples is '{samples}'",
                hint="give a number from 1 on, or 'all'",
            )
        count = None if samples == "all" else int(samples)
    result = device_run.run_model(
        model,
        DeviceOptions(device, tuple(option or ()), library, python, runs, warmup, timeout),
        display.Terminal(),
        inputs=load_settings(config, {"dataset.source": inputs}).dataset,
        samples=count,
        host_model=host_model,
        max_difference=max_difference,
    )
    if json:
        display.show_json(result.report.model_dump_json(indent=2))
    else:
        rows = [(label, escape(value)) for label, value in result.report.rows()]
        display.show_rows(escape(model.name), ("what", "value"), rows)
    if result.error is not None:
        raise result.error

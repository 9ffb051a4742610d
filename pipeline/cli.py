"""The ``tidepool`` command. The only place that prints and that sets the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from converters.errors import ExitCode, TidepoolError
from device_runners.cortex_m.firmware import RuntimeKind
from pipeline.settings import QatMode, Settings, Target, load_settings
from pipeline.source import Source, resolve

if TYPE_CHECKING:
    from pipeline.ci_output import CiOutput

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

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help=".keras or .h5 file, SavedModel folder of a Keras model, full-integer .tflite, .py "
        "recipe with build_model(), or a folder with train.py (trained when needed).",
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="DATASET",
        help="Recipe .py, .npz or .npy, folder of images by class; or 'random' / 'random:LOW,HIGH' "
        "to calibrate on noise when only size and speed matter.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings (tidepool.toml); options override it."),
]
BuildDirectory = Annotated[
    Path | None,
    typer.Option("--build-directory", metavar="DIR", help="Results go to DIR/<model>/."),
]
Trust = Annotated[
    bool | None,
    typer.Option("--trust", help="Load Lambda layers and custom objects: runs the file's code."),
]
Core = Annotated[
    str | None,
    typer.Option("--core", metavar="CORE", help="cortex-m3, -m4, -m7, -m33 or -m55."),
]
RuntimeOption = Annotated[
    RuntimeKind | None,
    typer.Option("--runtime", help="aot: generated C. tflm: links the library under TFLM_ROOT."),
]
Samples = Annotated[
    str | None,
    typer.Option(
        "--samples", metavar="N", help="Samples to emulate; 'all' for the whole test set."
    ),
]
DebugTensors = Annotated[
    bool,
    typer.Option(
        "--debug-tensors",
        help="Compare every intermediate tensor, and name the first one that differs.",
    ),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        metavar="POINTS",
        help="Largest loss from float to int8, in percentage points (percent for an error).",
    ),
]
CalibrationSamples = Annotated[
    int | None,
    typer.Option("--calibration-samples", metavar="N", help="At most N samples calibrate."),
]
Qat = Annotated[
    QatMode | None,
    typer.Option(
        "--qat",
        help="Quantization-aware training: on (also a bare --qat); auto: only if conversion "
        "without training fails the gate.",
    ),
]
QatEpochs = Annotated[
    int | None, typer.Option("--qat-epochs", metavar="N", help="Epochs of that training.")
]
QatDistill = Annotated[
    float | None,
    typer.Option(
        "--qat-distill", metavar="WEIGHT", help="Let the float model teach: its share of the loss."
    ),
]
MaxArena = Annotated[
    int | None,
    typer.Option("--max-arena", metavar="BYTES", help="Budget: largest arena."),
]
MaxFlash = Annotated[
    int | None,
    typer.Option("--max-flash", metavar="BYTES", help="Budget: code and constants of the model."),
]
MaxInstructions = Annotated[
    int | None,
    typer.Option("--max-instructions", metavar="N", help="Budget: instructions per inference."),
]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="REPORT",
        help="report.json of an earlier run: nothing may be worse than there.",
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write JUnit XML, for a CI server's test view."),
]
Summary = Annotated[
    Path | None,
    typer.Option("--summary", metavar="FILE", help="Write a summary in Markdown."),
]
Json = Annotated[bool, typer.Option("--json", help="The report as JSON on standard output.")]


@app.command()
def deploy(
    model: Model,
    target: Annotated[Target, typer.Option("--target", help="What to build for.")] = Target.MCU,
    dataset: Dataset = None,
    config: Config = None,
    core: Core = None,
    runtime: RuntimeOption = None,
    samples: Samples = None,
    debug_tensors: DebugTensors = False,
    max_drop: MaxDrop = None,
    calibration_samples: CalibrationSamples = None,
    qat: Qat = None,
    qat_epochs: QatEpochs = None,
    qat_distill: QatDistill = None,
    max_arena: MaxArena = None,
    max_flash: MaxFlash = None,
    max_instructions: MaxInstructions = None,
    baseline: Baseline = None,
    junit: Junit = None,
    summary: Summary = None,
    trust: Trust = None,
    build_directory: BuildDirectory = None,
    json: Json = False,
) -> None:
    """The whole way: convert, verify, build for the target, prove it on the emulator.

    Results go to build/<model>/: the int8 model, the target's artifacts, report.json and
    manifest.json. A MODEL that is a full-integer .tflite already skips the conversion.
    """
    from pipeline import display, run

    source = resolve(model)
    settings = _settings(
        source,
        config,
        {
            "dataset.source": dataset,
            "mcu.core": core,
            "mcu.runtime": runtime,
            "gate.max_drop": max_drop,
            "conversion.calibration_samples": calibration_samples,
            "qat.mode": qat,
            "qat.epochs": qat_epochs,
            "qat.distill": qat_distill,
            "budget.max_arena_bytes": max_arena,
            "budget.max_flash_bytes": max_flash,
            "budget.max_instructions": max_instructions,
            "budget.baseline": baseline,
            "model.trust": trust,
            "build_directory": build_directory,
        },
        samples,
    )
    with _ci_output(source, junit, summary) as output:
        result = run.deploy(
            source, target, settings, display.Terminal(), debug_tensors=debug_tensors
        )
        output.write(result.report, result.error)
    _finish(result, json=json)


@app.command()
def convert(
    model: Model,
    dataset: Dataset = None,
    config: Config = None,
    max_drop: MaxDrop = None,
    calibration_samples: CalibrationSamples = None,
    qat: Qat = None,
    qat_epochs: QatEpochs = None,
    qat_distill: QatDistill = None,
    trust: Trust = None,
    build_directory: BuildDirectory = None,
    json: Json = False,
) -> None:
    """Keras to full-integer int8 TFLite, verified against the Keras model and gated on accuracy.

    Writes build/<model>/<model>_int8.tflite.
    """
    from pipeline import display, run

    source = resolve(model)
    settings = _settings(
        source,
        config,
        {
            "dataset.source": dataset,
            "gate.max_drop": max_drop,
            "conversion.calibration_samples": calibration_samples,
            "qat.mode": qat,
            "qat.epochs": qat_epochs,
            "qat.distill": qat_distill,
            "model.trust": trust,
            "build_directory": build_directory,
        },
    )
    _finish(run.convert(source, settings, display.Terminal()), json=json)


@app.command()
def check(
    model: Model,
    target: Annotated[Target, typer.Option("--target", help="What to check for.")] = Target.MCU,
    config: Config = None,
    build_directory: BuildDirectory = None,
    json: Json = False,
) -> None:
    """Say what would stand in the way of building a full-integer model for a target.

    MODEL is a .tflite, or a model that was converted before. Builds nothing. For the Edge TPU it
    predicts operator by operator what the compiler will map, the parameter memory and the latency.
    Exit code 1 when something blocks: an op without a kernel, or a file that the compiler refuses.
    """
    from pipeline import display, run

    source = resolve(model)
    settings = _settings(source, config, {"build_directory": build_directory})
    if target is Target.EDGE_TPU:
        prediction = run.predict_edge_tpu(source, settings)
        blocked = bool(prediction.refused) or prediction.mapped_ops == 0
        if json:
            display.show_json(prediction.to_json())
        else:
            display.show_preflight(f"{source.name} for the Edge TPU", prediction)
    else:
        findings = run.check_mcu(source, settings)
        blocked = bool(findings.blocking)
        if json:
            display.show_json(run.findings_json(findings))
        else:
            display.show_findings(f"{source.name} for {target.value}", findings)
    raise typer.Exit(ExitCode.ERROR if blocked else ExitCode.OK)


@app.command()
def inspect(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="An _edgetpu.tflite: the compiler's output.")
    ],
    json: Json = False,
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


@app.command()
def emulate(
    model: Model,
    dataset: Dataset = None,
    config: Config = None,
    core: Core = None,
    runtime: RuntimeOption = None,
    samples: Samples = None,
    debug_tensors: DebugTensors = False,
    max_arena: MaxArena = None,
    max_flash: MaxFlash = None,
    max_instructions: MaxInstructions = None,
    max_drop: MaxDrop = None,
    baseline: Baseline = None,
    junit: Junit = None,
    summary: Summary = None,
    build_directory: BuildDirectory = None,
    json: Json = False,
) -> None:
    """Run a full-integer model on an emulated Cortex-M and compare every byte with the reference.

    MODEL is a .tflite, or a model that was converted before. Without a DATASET the inputs are
    reproducible noise. Exit code 6 when a budget is exceeded; the error names it.
    """
    from pipeline import display, run

    source = resolve(model)
    settings = _settings(
        source,
        config,
        {
            "dataset.source": dataset,
            "mcu.core": core,
            "mcu.runtime": runtime,
            "gate.max_drop": max_drop,
            "budget.max_arena_bytes": max_arena,
            "budget.max_flash_bytes": max_flash,
            "budget.max_instructions": max_instructions,
            "budget.baseline": baseline,
            "build_directory": build_directory,
        },
        samples,
    )
    if max_drop is not None and settings.budget.baseline is None:
        raise TidepoolError(
            "--max-drop needs something to compare with: an int8 model alone has no float metric",
            hint="give --baseline report.json of the run that converted the model, or use deploy",
        )
    with _ci_output(source, junit, summary) as output:
        result = run.emulate(source, settings, display.Terminal(), debug_tensors=debug_tensors)
        output.write(result.report, result.error)
    _finish(result, json=json)


@app.command()
def doctor(json: Json = False) -> None:
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


def _settings(
    source: Source, config: Path | None, overrides: dict[str, Any], samples: str | None = None
) -> Settings:
    values = dict(overrides)
    if samples is not None and samples != "all":
        if not samples.isdecimal() or int(samples) < 1:
            raise TidepoolError(
                f"--samples is '{samples}'", hint="give a number from 1 on, or 'all'"
            )
        values["mcu.samples"] = int(samples)
    settings = load_settings(config or source.config, values)
    if samples == "all":
        everything = settings.mcu.model_copy(update={"samples": None})
        settings = settings.model_copy(update={"mcu": everything})
    return settings


@contextmanager
def _ci_output(source: Source, junit: Path | None, summary: Path | None) -> Iterator[CiOutput]:
    """The files for a CI server; an error that ends the run is written to them, too."""
    from pipeline.ci_output import CiOutput

    output = CiOutput(junit, summary)
    try:
        yield output
    except TidepoolError as error:
        output.write_error(source.name, error)
        raise


def _finish(result: Any, *, json: bool) -> None:
    """Shows the report, then the error that the run ended with, if it did."""
    from pipeline import display

    if json:
        display.show_json(result.report.model_dump_json(indent=2))
    else:
        display.show_report(result.report, str(result.directory))
    if result.error is not None:
        raise result.error


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


if __name__ == "__main__":
    main()

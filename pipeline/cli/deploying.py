"""Verbs that take a model towards a target: deploy, convert, emulate."""

from __future__ import annotations

from typing import Annotated

import typer

from converters.errors import TidepoolError
from pipeline.cli import options
from pipeline.cli.common import ci_output, finish, settings_of
from pipeline.settings import Target
from pipeline.source import resolve
from pipeline.stages.cluster import joined


def deploy(
    model: options.Model,
    target: Annotated[Target, typer.Option("--target", help="What to build for.")] = Target.MCU,
    dataset: options.Dataset = None,
    config: options.Config = None,
    core: options.Core = None,
    optimize: options.OptimizeOption = None,
    emulator: options.Emulator = None,
    runtime: options.RuntimeOption = None,
    cluster: options.Cluster = None,
    compress: options.Compress = None,
    samples: options.Samples = None,
    debug_tensors: options.DebugTensors = False,
    max_drop: options.MaxDrop = None,
    calibration_samples: options.CalibrationSamples = None,
    qat: options.Qat = None,
    qat_epochs: options.QatEpochs = None,
    qat_distill: options.QatDistill = None,
    strategy: options.Strategy = None,
    rewrite: options.Rewrite = None,
    max_arena: options.MaxArena = None,
    max_flash: options.MaxFlash = None,
    max_instructions: options.MaxInstructions = None,
    baseline: options.Baseline = None,
    junit: options.Junit = None,
    summary: options.Summary = None,
    trust: options.Trust = None,
    build_directory: options.BuildDirectory = None,
    json: options.Json = False,
) -> None:
    """The whole way: convert, verify, build for the target, prove it on the emulator.

    Results go to build/<model>/: the int8 model, the target's artifacts, report.json and
    manifest.json. A MODEL that is a full-integer .tflite already skips the conversion.
    """
    from pipeline import display, run

    source = resolve(model)
    settings = settings_of(
        source,
        config,
        {
            "dataset.source": dataset,
            "mcu.core": core,
            "mcu.optimize": optimize,
            "mcu.emulator": emulator,
            "mcu.runtime": runtime,
            "conversion.cluster_bits": cluster,
            "mcu.compress": compress,
            "gate.max_drop": max_drop,
            "conversion.calibration_samples": calibration_samples,
            "qat.mode": qat,
            "qat.epochs": qat_epochs,
            "qat.distill": qat_distill,
            "qat.strategy": strategy,
            "edge_tpu.rewrite": rewrite,
            "budget.max_arena_bytes": max_arena,
            "budget.max_flash_bytes": max_flash,
            "budget.max_instructions": max_instructions,
            "budget.baseline": baseline,
            "model.trust": trust,
            "build_directory": build_directory,
        },
        samples,
    )
    listener = display.Terminal()
    with joined(settings, listener) as settings:
        with ci_output(source, junit, summary) as output:
            result = run.deploy(source, target, settings, listener, debug_tensors=debug_tensors)
            output.write(result.report, result.error)
        finish(result, json=json)


def convert(
    model: options.Model,
    dataset: options.Dataset = None,
    config: options.Config = None,
    max_drop: options.MaxDrop = None,
    calibration_samples: options.CalibrationSamples = None,
    qat: options.Qat = None,
    qat_epochs: options.QatEpochs = None,
    qat_distill: options.QatDistill = None,
    strategy: options.Strategy = None,
    trust: options.Trust = None,
    build_directory: options.BuildDirectory = None,
    json: options.Json = False,
) -> None:
    """Keras to full-integer int8 TFLite, verified against the Keras model and gated on accuracy.

    Writes build/<model>/<model>_int8.tflite.
    """
    from pipeline import display, run

    source = resolve(model)
    settings = settings_of(
        source,
        config,
        {
            "dataset.source": dataset,
            "gate.max_drop": max_drop,
            "conversion.calibration_samples": calibration_samples,
            "qat.mode": qat,
            "qat.epochs": qat_epochs,
            "qat.distill": qat_distill,
            "qat.strategy": strategy,
            "model.trust": trust,
            "build_directory": build_directory,
        },
    )
    listener = display.Terminal()
    with joined(settings, listener) as settings:
        finish(run.convert(source, settings, listener), json=json)


def emulate(
    model: options.Model,
    dataset: options.Dataset = None,
    config: options.Config = None,
    core: options.Core = None,
    optimize: options.OptimizeOption = None,
    emulator: options.Emulator = None,
    runtime: options.RuntimeOption = None,
    cluster: options.Cluster = None,
    compress: options.Compress = None,
    samples: options.Samples = None,
    debug_tensors: options.DebugTensors = False,
    max_arena: options.MaxArena = None,
    max_flash: options.MaxFlash = None,
    max_instructions: options.MaxInstructions = None,
    max_drop: options.MaxDrop = None,
    baseline: options.Baseline = None,
    junit: options.Junit = None,
    summary: options.Summary = None,
    build_directory: options.BuildDirectory = None,
    json: options.Json = False,
) -> None:
    """Run a full-integer model on an emulated Cortex-M and compare every byte with the reference.

    MODEL is a .tflite, or a model that was converted before. Without a DATASET the inputs are
    reproducible noise. Exit code 6 when a budget is exceeded; the error names it.
    """
    from pipeline import display, run

    source = resolve(model)
    settings = settings_of(
        source,
        config,
        {
            "dataset.source": dataset,
            "mcu.core": core,
            "mcu.optimize": optimize,
            "mcu.emulator": emulator,
            "mcu.runtime": runtime,
            "conversion.cluster_bits": cluster,
            "mcu.compress": compress,
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
    with ci_output(source, junit, summary) as output:
        result = run.emulate(source, settings, display.Terminal(), debug_tensors=debug_tensors)
        output.write(result.report, result.error)
    finish(result, json=json)

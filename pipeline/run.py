"""What a run can be: the stages in order, for each verb of the command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from converters.errors import TidepoolError
from converters.tflite import read_graph
from converters.tflite.verify import check_full_integer
from device_runners.cortex_m import Board, FitReport, find_board
from device_runners.registry import RUNNERS
from device_runners.runner import Findings, Int8Model
from pipeline.listener import Listener
from pipeline.one_run import Result, Run
from pipeline.settings import RuntimeChoice, Settings, Target
from pipeline.source import Source, converted_file
from pipeline.stages import edge_tpu, runtimes
from pipeline.stages.fit import fit_boards

__all__ = [
    "Result",
    "check_mcu",
    "convert",
    "deploy",
    "emulate",
    "findings_json",
    "fit",
    "predict_edge_tpu",
]


def deploy(
    source: Source,
    target: Target,
    settings: Settings,
    listener: Listener,
    *,
    debug_tensors: bool = False,
) -> Result:
    """The whole way from a model to a target.

    Raises:
        TidepoolError: Something is wrong before there is anything to report.
    """
    if target is Target.MCU:
        _check_mcu_settings(settings)  # before a conversion that would be in vain
    run = Run(source, settings, listener, target.value)
    model = run.prepare()
    if run.error is None:
        if target is Target.MCU:
            run.build_mcu(model, debug_tensors=debug_tensors)
            run.hold_budgets()
        else:
            run.build_edge_tpu(model)
    return run.finish()


def convert(source: Source, settings: Settings, listener: Listener) -> Result:
    """Only the conversion, with its verification and its gate."""
    if source.is_tflite:
        raise TidepoolError(
            f"{source.given} is a .tflite file already: there is nothing to convert",
            hint="'tidepool check' says whether a device can run it, 'tidepool deploy' builds it",
        )
    run = Run(source, settings, listener, "convert")
    run.prepare()
    return run.finish()


def emulate(
    source: Source, settings: Settings, listener: Listener, *, debug_tensors: bool = False
) -> Result:
    """Runs an int8 model on the emulator, without TensorFlow."""
    _check_mcu_settings(settings)
    run = Run(source, settings, listener, "emulate")
    run.build_mcu(run.reuse(), debug_tensors=debug_tensors)
    run.hold_budgets()
    return run.finish()


def _check_mcu_settings(settings: Settings) -> None:
    """A misspelt core, or a library that is missing, is an error before there is any work."""
    find_board(settings.mcu.core)
    if settings.mcu.runtime is not RuntimeChoice.AOT:
        runtimes.require_library(settings.mcu)


def predict_edge_tpu(source: Source, settings: Settings) -> edge_tpu.Outlook:
    """What the Edge TPU compiler will make of an int8 model, as it is and rewritten.

    Raises:
        TidepoolError: There is no int8 model, or it is corrupt.
    """
    graph = read_graph(converted_file(source, settings.build_directory))
    return edge_tpu.outlook(graph, settings.edge_tpu)


def check_mcu(source: Source, settings: Settings) -> Findings:
    """What would stand in the way of building an int8 model for a microcontroller.

    Raises:
        TidepoolError: There is no int8 model, or it is corrupt.
    """
    graph = read_graph(converted_file(source, settings.build_directory))
    return RUNNERS[settings.mcu.runtime.kind].check(graph)


def fit(
    source: Source, settings: Settings, boards: Sequence[Board], listener: Listener
) -> FitReport:
    """Which boards' flash and RAM an int8 model fits.

    Raises:
        TidepoolError: There is no full-integer model, or a tool is missing.
    """
    file = converted_file(source, settings.build_directory)
    graph = read_graph(file)
    check_full_integer(graph)
    model = Int8Model(source.name, file.read_bytes(), graph)
    return fit_boards(model, boards, settings.mcu.runtime.kind, listener, settings.mcu.optimize)


def findings_json(findings: Findings) -> str:
    """Findings for machines."""
    content = {
        "blocked": bool(findings.blocking),
        "findings": [asdict(item) for item in findings.items],
    }
    return json.dumps(content, indent=2)

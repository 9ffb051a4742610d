"""``tidepool flash``: an int8 model on a real board, compared with the reference, with its cycles.

build(...)        the firmware for the board, and what it is to be tried on
flash(...)        the whole way, for the command line
run_on_board(...) only the board's part, for whoever has the firmware: benchmarks
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.errors import ExitCode, TidepoolError
from converters.tflite import read_graph
from converters.tflite.verify import check_full_integer
from device_runners import cortex_m
from device_runners.cortex_m import FlashPlan, FlashToolKind, RuntimeKind
from device_runners.runner import Int8Model
from pipeline.board_report import BoardReport, cycles_report
from pipeline.comparison import compare_outputs, reference_outputs
from pipeline.dataset import (
    Dataset,
    DatasetKind,
    Sample,
    check_dataset,
    graph_inputs,
    load_dataset,
    quantized_inputs,
)
from pipeline.fixed_input import SEED, fixed_samples
from pipeline.listener import Listener
from pipeline.manifest import digest
from pipeline.report import Report
from pipeline.settings import Settings
from pipeline.source import Source, converted_file
from pipeline.stages import evaluate as evaluation
from pipeline.stages import mcu

_FIXED_SAMPLES = 4
"""Samples that a model without data runs on."""


@dataclass(frozen=True)
class FlashOptions:
    """How a board is flashed.

    Attributes:
        tool: What talks to the probe; None for what is installed.
        probe: ID of the probe; empty for the only one.
        clock_hz: The clock that cycles are converted to milliseconds with; None for the board's
            highest.
        dry_run: Stop before the probe: only build, and say the commands.
    """

    tool: FlashToolKind | None = None
    probe: str = ""
    clock_hz: int | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class FlashResult:
    """How it ended.

    Attributes:
        plan: The commands.
        report: What the board computed; None when it was not to run.
        error: What the command line should end with: a difference from the reference.
    """

    plan: FlashPlan
    report: BoardReport | None
    error: TidepoolError | None

    def plan_json(self) -> str:
        """The commands for machines."""
        return json.dumps(
            {
                "board": self.plan.board.name,
                "tool": self.plan.tool,
                "directory": str(self.plan.directory),
                "load": list(self.plan.load),
                "run": list(self.plan.run),
            },
            indent=2,
        )


@dataclass(frozen=True, eq=False)
class BoardTrial:
    """A firmware, and what it is to be tried on.

    Attributes:
        model: The int8 model.
        firmware: The firmware with it.
        trial: Samples, and the reference's outputs for them.
        inputs: Where the samples come from.
        samples: The samples as the dataset has them; empty without data.
        dataset: The data; None without.
    """

    model: Int8Model
    firmware: cortex_m.Firmware
    trial: mcu.Trial
    inputs: str
    samples: list[Sample]
    dataset: Dataset | None


def flash(
    source: Source,
    board: cortex_m.Board,
    settings: Settings,
    listener: Listener,
    options: FlashOptions,
) -> FlashResult:
    """Builds for a board, flashes it, runs the samples there and compares every output byte.

    Raises:
        TidepoolError: The model or the data is wrong, the board can't be flashed, the firmware
            doesn't build, tool or probe are missing, or the board fails. Once the firmware is
            built, the hint has the commands that would have run.
    """
    # A board or a tool that can't be should not cost a build.
    cortex_m.choose_tool(board, options.tool)
    built = build(source, board, settings, listener)
    plan = cortex_m.plan_flash(built.firmware, options.tool, options.probe)
    if board.note:
        listener.note(f"{board.name}: {board.note}")
    if options.dry_run:
        cortex_m.write_inputs(plan, built.firmware, built.trial.samples)
        return FlashResult(plan, None, None)
    require_ready([(plan, built)])
    report = run_on_board(built, plan, settings, listener, clock_hz=options.clock_hz)
    directory = source.directory(settings.build_directory)
    report.instructions = known_instructions(directory, built.model, report)
    report.write(directory / f"flash-{board.name}.json")
    return FlashResult(plan, report, _mismatch_error(report))


def require_ready(built: Sequence[tuple[FlashPlan, BoardTrial]]) -> None:
    """Passes if the board can be flashed; else the samples are left for whoever does it by hand.

    Args:
        built: Plans for one board and one probe, each with its firmware.

    Raises:
        TidepoolError: Tool, chip support or probe are missing; the hint has the commands.
    """
    try:
        cortex_m.check_ready(built[0][0])
    except TidepoolError as error:
        commands = ""
        for plan, trial in built:
            cortex_m.write_inputs(plan, trial.firmware, trial.trial.samples)
            commands += "".join(f"\n  {line}" for line in plan.lines())
        raise TidepoolError(
            error.message,
            hint=f"{error.hint}\nThe firmware is built. This would run:{commands}",
            exit_code=error.exit_code,
        ) from error


def build(
    source: Source, board: cortex_m.Board, settings: Settings, listener: Listener
) -> BoardTrial:
    """Builds the firmware for a board, and computes what the reference says of its samples.

    Raises:
        TidepoolError: There is no int8 model, the data doesn't fit, or the firmware doesn't build.
    """
    file = converted_file(source, settings.build_directory)
    graph = read_graph(file)
    check_full_integer(graph)
    model = Int8Model(source.name, file.read_bytes(), graph)
    dataset, samples = _samples(model, settings, listener)
    if samples:
        inputs: list[mcu.Sample] = _quantized(samples, model)
        origin = str(settings.dataset.source)
    else:
        count = min(settings.mcu.samples or _FIXED_SAMPLES, _FIXED_SAMPLES)
        inputs = list(fixed_samples(graph, count))
        origin = f"noise from the fixed seed {SEED:#x}"
    title = f"computing the reference (LiteRT, BUILTIN_REF) of {len(inputs)} samples"
    with listener.stage(title) as progress:
        trial = mcu.Trial(inputs, reference_outputs(model.content, inputs, progress))
    folder = source.directory(settings.build_directory) / "mcu"
    runtime = settings.mcu.runtime.kind
    if runtime is RuntimeKind.AOT:
        isa = mcu.isa_of(board.name)
        mcu.build_aot(model, folder, listener, isa, settings.mcu.optimize)
    else:
        mcu.build_tflm(model, folder, trial, listener)
    with listener.stage(f"building firmware for {board.core} ({board.name})"):
        flag = settings.mcu.optimize.compiler_flag
        firmware = cortex_m.build_firmware(folder, model.name, board, runtime, optimize=flag)
    return BoardTrial(model, firmware, trial, origin, samples, dataset)


def run_on_board(
    built: BoardTrial,
    plan: FlashPlan,
    settings: Settings,
    listener: Listener,
    *,
    clock_hz: int | None = None,
) -> BoardReport:
    """Flashes a board and runs the trial there.

    Args:
        built: What ``build`` returned.
        plan: What ``plan_flash`` returned for its firmware.
        settings: The time limit of a sample.
        listener: Hears of the progress.
        clock_hz: The clock to convert cycles with; None for the board's highest.

    Raises:
        TidepoolError: See ``cortex_m.flash_and_run``. A difference from the reference isn't
            raised: it is in the report.
    """
    model, firmware, trial = built.model, built.firmware, built.trial
    board = firmware.board
    title = f"flashing {board.name} by {plan.tool} and running {len(trial.samples)} samples on it"
    with listener.stage(title) as progress:
        result = cortex_m.flash_and_run(
            plan,
            firmware,
            trial.samples,
            cortex_m.layouts_of(model.graph.output_tensors),
            timeout=settings.mcu.timeout_seconds,
            progress=progress,
        )
    mismatch = compare_outputs(model.graph, trial.expected, result.outputs)
    sizes = cortex_m.measure_sizes(firmware)
    report = BoardReport(
        model=model.name,
        board=board.name,
        core=board.core,
        runtime=firmware.runtime,
        tool=plan.tool,
        tool_version=result.tool_version,
        commands=list(plan.lines()),
        directory=str(plan.directory),
        inputs=built.inputs,
        samples=len(trial.samples),
        bit_exact=mismatch is None,
        mismatch=mismatch,
        cycles=cycles_report(result.cycles, clock_hz or board.clock_hz) if result.cycles else None,
        cycles_note=result.cycles_note,
        instructions=None,
        flash_bytes=sizes.flash_bytes,
        ram_bytes=sizes.ram_bytes,
        arena_bytes=result.arena_bytes,
        stack_bytes=result.stack_bytes,
        output_crc32=mcu.output_crc32(result.outputs[0]),
        seconds=result.seconds,
    )
    if built.dataset is not None:
        metric = evaluation.metric_of(built.dataset, model.graph)
        if metric is not None:
            score = evaluation.score_outputs
            report.metric = metric.name
            report.host_value = score(metric, model.graph, built.samples, trial.expected)
            report.board_value = score(metric, model.graph, built.samples, result.outputs)
    return report


def known_instructions(directory: Path, model: Int8Model, report: BoardReport) -> int | None:
    """What the emulator counted for the same model on the same core in the same runtime.

    Args:
        directory: The model's results, with ``report.json`` and ``manifest.json``.
        model: The model that ran on the board.
        report: The board's report.

    Returns:
        None when no earlier run is known, or when it was of another model, core or runtime.
    """
    name = f"{model.name}_int8.tflite"
    try:
        earlier = Report.model_validate_json((directory / "report.json").read_text())
        manifest = json.loads((directory / "manifest.json").read_text())
        same_model = (
            manifest["outputs"][name] == digest(directory / name)
            and (directory / name).read_bytes() == model.content
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    emulation = earlier.mcu.emulation if earlier.mcu is not None else None
    if emulation is None or not same_model:
        return None
    same = emulation.core == report.core and emulation.runtime == report.runtime
    return emulation.instructions if same else None


def _samples(
    model: Int8Model, settings: Settings, listener: Listener
) -> tuple[Dataset | None, list[Sample]]:
    """The data and the test samples that are to run; nothing without real data."""
    chosen = settings.dataset
    if chosen.source is None:
        return None, []
    graph = model.graph
    specs = graph_inputs(graph)
    with listener.stage(f"checking dataset {chosen.source}"):
        dataset = load_dataset(
            chosen.source,
            specs,
            seed=chosen.seed,
            image_range=chosen.image_range,
            calibrate=False,
        )
        classes = evaluation.class_count(dataset, specs[0].shape, graph.output_tensors[0].shape[1:])
        found = check_dataset(dataset, specs, classes=classes)
    for warning in found.warnings:
        listener.warn(f"{warning.message}: {warning.hint}")
    if dataset.test is None or dataset.kind is DatasetKind.RANDOM:
        return None, []
    count = settings.mcu.samples
    return dataset, list(dataset.test if count is None else dataset.test.take(count))


def _quantized(samples: list[Sample], model: Int8Model) -> list[mcu.Sample]:
    return [quantized_inputs(sample.inputs, model.graph) for sample in samples]


def _mismatch_error(report: BoardReport) -> TidepoolError | None:
    if report.bit_exact:
        return None
    return TidepoolError(
        f"{report.model} on the board {report.board} differs from the reference",
        hint="is it bit-exact on the emulator, too? 'tidepool emulate ... --debug-tensors' names "
        "the first tensor that differs; please report it with the model and the board",
        exit_code=ExitCode.MISMATCH,
    )

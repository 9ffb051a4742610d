"""TensorFlow Lite Micro on an emulated core: its arena measured, compared with generated code."""

from __future__ import annotations

from pathlib import Path

from converters.errors import ExitCode, TidepoolError
from device_runners import cortex_m, tflm
from device_runners.cortex_m import RuntimeKind, TflmKernels, TflmOptions
from device_runners.runner import Int8Model
from pipeline.listener import Listener
from pipeline.runtime_comparison import Runtime, RuntimeComparison, RuntimeFigures
from pipeline.settings import McuSettings
from pipeline.stages import mcu as stage

_RUNTIMES = {
    TflmKernels.CMSIS_NN: Runtime.TFLM_CMSIS_NN,
    TflmKernels.REFERENCE: Runtime.TFLM_REFERENCE,
}
_PLANNED = "planned ahead of time"


def require_library(settings: McuSettings) -> None:
    """Makes sure that there is a library for the core, before anything is converted or built.

    Raises:
        TidepoolError: ``TFLM_ROOT`` isn't set, or no library for the core is there; the message
            says how to build it.
    """
    board = _emulated_board(settings)
    cortex_m.built_kernels(cortex_m.tflm_root(board), board)


def measure_arena(
    model: Int8Model,
    mcu: Path,
    trial: stage.Trial,
    settings: McuSettings,
    listener: Listener,
    *,
    estimate: int,
    options: TflmOptions,
) -> tflm.MeasuredArena:
    """Finds the smallest arena at which TFLM runs a model on an emulated core.

    Args:
        model: The int8 model.
        mcu: The folder with ``tflm/``.
        trial: Its first sample is run.
        settings: Core and time limit.
        listener: Hears of the progress.
        estimate: Bytes that are probably enough (``TflmReport.arena_bytes``).
        options: The library.

    Raises:
        TidepoolError: The library is missing or doesn't fit the core, or the model doesn't run.
    """
    board = _emulated_board(settings)
    kernels = f" ({options.kernels.label})" if options.kernels else ""
    with listener.stage(
        f"measuring TFLM's arena{kernels} on the emulated {board.core}"
    ) as progress:
        found = cortex_m.measure_arena(
            mcu,
            model.name,
            board,
            options,
            trial.samples[0],
            cortex_m.layouts_of(model.graph.output_tensors),
            trial_bytes=estimate,
            emulator=settings.emulator,
            timeout=settings.timeout_seconds,
            progress=progress,
        )
    return tflm.MeasuredArena(
        found.smallest_bytes, found.used_bytes, board.core, found.library.kernels.label
    )


def fit_arena(
    model: Int8Model,
    mcu: Path,
    trial: stage.Trial,
    settings: McuSettings,
    listener: Listener,
    *,
    estimate: int,
    root: Path | None = None,
) -> tflm.MeasuredArena:
    """Measures the arena with the library that a build takes, and makes it ``kTensorArenaSize``.

    Args:
        model: The int8 model.
        mcu: The folder with ``tflm/``.
        trial: Its first sample is run.
        settings: Core and time limit.
        listener: Hears of the progress.
        estimate: Bytes that are probably enough (``TflmReport.arena_bytes``).
        root: The tree of tflite-micro; None for the environment variable ``TFLM_ROOT``.

    Raises:
        TidepoolError: The library is missing or doesn't fit the core, or the model doesn't run.
    """
    options = TflmOptions(root or cortex_m.tflm_root(_emulated_board(settings)))
    arena = measure_arena(model, mcu, trial, settings, listener, estimate=estimate, options=options)
    tflm.set_arena(model, mcu / "tflm", arena)
    return arena


def compare(
    model: Int8Model,
    mcu: Path,
    trial: stage.Trial,
    settings: McuSettings,
    listener: Listener,
    *,
    generated: stage.Emulated,
    estimate: int,
    root: Path | None = None,
) -> RuntimeComparison:
    """Runs TFLM with every library that fits the core, beside the generated code that ran already.

    The arena of the first library, the one that a build takes when nobody chooses, becomes
    ``kTensorArenaSize`` of the artifacts.

    Args:
        model: The int8 model.
        mcu: The folder with ``aot/`` and ``tflm/``.
        trial: Samples, and the reference's outputs for them.
        settings: Core and time limit.
        listener: Hears of the progress.
        generated: The emulation of the generated code on the same core and trial.
        estimate: Bytes that are probably enough for TFLM's arena (``TflmReport.arena_bytes``).
        root: The tree of tflite-micro; None for the environment variable ``TFLM_ROOT``.

    Raises:
        TidepoolError: There is no library for this core, it doesn't fit, or a firmware doesn't
            build or run.
    """
    board = generated.firmware.board
    root = root or cortex_m.tflm_root(board)
    rows = [_figures(model, trial, settings, listener, generated, Runtime.AOT, _PLANNED)]
    for position, kernels in enumerate(cortex_m.built_kernels(root, board)):
        options = TflmOptions(root, kernels)
        arena = measure_arena(
            model, mcu, trial, settings, listener, estimate=estimate, options=options
        )
        if position == 0:
            tflm.set_arena(model, mcu / "tflm", arena)
        emulated = stage.emulate(
            model,
            mcu,
            trial,
            settings,
            listener,
            runtime=RuntimeKind.TFLM,
            tflm_options=TflmOptions(root, kernels, arena.total),
        )
        runtime = _RUNTIMES[kernels]
        rows.append(_figures(model, trial, settings, listener, emulated, runtime, arena.source))
    return RuntimeComparison(
        model=model.name,
        core=board.core,
        board=board.name,
        samples=len(trial.samples),
        count_method=generated.report.instruction_count_method,
        runtimes=tuple(rows),
    )


def mismatch_error(comparison: RuntimeComparison) -> TidepoolError | None:
    """The error of a comparison in which a runtime computes something else than the reference."""
    wrong = [figures.runtime for figures in comparison.runtimes if not figures.bit_exact]
    if not wrong:
        return None
    return TidepoolError(
        f"not bit-exact on the emulated {comparison.core}: {', '.join(wrong)}",
        hint="for the generated code --debug-tensors names the first tensor that differs",
        exit_code=ExitCode.MISMATCH,
    )


def _figures(
    model: Int8Model,
    trial: stage.Trial,
    settings: McuSettings,
    listener: Listener,
    emulated: stage.Emulated,
    runtime: Runtime,
    arena_source: str,
) -> RuntimeFigures:
    """Adds to an emulation what the runtime does before its first inference."""
    with listener.stage(f"measuring the start of {runtime}"):
        firmware = cortex_m.vary_firmware(emulated.firmware, measured=cortex_m.Measured.SETUP)
        setup = cortex_m.run_firmware(
            firmware,
            trial.samples[:1],
            cortex_m.layouts_of(model.graph.output_tensors),
            emulator=settings.emulator,
            timeout=settings.timeout_seconds,
        )
        # What stays in the build folder is the firmware that infers.
        cortex_m.vary_firmware(firmware, measured=cortex_m.Measured.INFERENCE)
    report, sizes = emulated.report, emulated.sizes
    assert setup.instructions is not None
    library = firmware.tflm.path.parents[1].name if firmware.tflm is not None else ""
    return RuntimeFigures(
        runtime=runtime,
        bit_exact=report.bit_exact,
        output_crc32=report.output_crc32,
        instructions=report.instructions,
        setup_instructions=setup.instructions[0],
        text_bytes=sizes.text_bytes,
        rodata_bytes=sizes.rodata_bytes,
        data_bytes=sizes.data_bytes,
        bss_bytes=sizes.bss_bytes,
        arena_bytes=sizes.arena_bytes,
        arena_source=arena_source,
        stack_bytes=max(report.stack_bytes, setup.stack_bytes),
        library=library,
        estimated_cycles=report.estimated_cycles,
    )


def _emulated_board(settings: McuSettings) -> cortex_m.Board:
    """The board that the emulator runs: for one that QEMU hasn't got, the one for its core."""
    board = cortex_m.find_board(settings.core)
    qemu = settings.emulator is cortex_m.EmulatorKind.QEMU
    return cortex_m.emulated_board(board) if qemu else board

"""The Cortex-M target: sources, firmware, and the proof on the emulator."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.files import write_atomic
from converters.tflite.graph import Array
from device_runners import cgen, cortex_m, tflm
from device_runners.host.micro import run_micro
from device_runners.runner import Int8Model
from pipeline.comparison import compare_outputs, compare_tensors
from pipeline.listener import Listener
from pipeline.report import AotReport, EmulationReport, MismatchReport, PassReport, TflmReport
from pipeline.settings import McuSettings

Sample = Sequence[Array]


@dataclass(frozen=True, eq=False)
class Trial:
    """What a device is tried on: samples, and what the reference computes for them."""

    samples: Sequence[Sample]
    expected: Sequence[Sequence[Array]]


@dataclass(frozen=True, eq=False)
class Emulated:
    """What an emulation gave.

    Attributes:
        report: Its report.
        outputs: The outputs of each sample, for a metric on them.
        firmware: What ran.
        sizes: Its flash and RAM.
    """

    report: EmulationReport
    outputs: Sequence[Sequence[Array]]
    firmware: cortex_m.Firmware
    sizes: cortex_m.Sizes


def isa_of(core: str) -> cgen.Isa:
    """What the kernels for a core or board are written for.

    Raises:
        TidepoolError: There is no such core or board.
    """
    board = cortex_m.find_board(core)
    if board.mve is not cortex_m.Mve.NONE:
        return cgen.Isa.MVE
    return cgen.Isa.DSP if board.dsp else cgen.Isa.SCALAR


def build_aot(
    model: Int8Model,
    mcu: Path,
    listener: Listener,
    isa: cgen.Isa = cgen.Isa.SCALAR,
    optimize: cgen.Optimize = cgen.Optimize.BALANCED,
) -> AotReport:
    """Writes ``aot/``, with the kernels of an instruction-set level.

    Raises:
        TidepoolError: The code generator lacks an op, naming it and its output.
    """
    with listener.stage("generating ahead-of-time C"):
        artifacts = cgen.build(model, mcu / "aot", isa, optimize)
    figures = artifacts.figures
    picture = write_atomic(
        mcu / "aot" / f"{model.name}_memory.svg", cgen.memory_picture(artifacts.figures)
    )
    return AotReport(
        directory=str(mcu / "aot"),
        files=[*artifacts.files, picture.name],
        arena_bytes=figures["arena_bytes"],
        arena_lower_bound_bytes=figures["lower_bound_bytes"],
        arena_is_optimal=figures["arena_is_optimal"],
        live_bytes=figures["live_bytes"],
        macs=figures["macs"],
        passes=[PassReport(**one) for one in figures["passes"]],
    )


def build_tflm(model: Int8Model, mcu: Path, trial: Trial, listener: Listener) -> TflmReport | None:
    """Writes ``tflm/``, and runs the same flatbuffer in the real TFLM interpreter.

    Returns:
        None when TFLM can't run the model: the listener hears why. The ahead-of-time code needs
        no TFLM, so that is no error.
    """
    for finding in tflm.check(model.graph).blocking:
        listener.warn(f"no artifacts for TensorFlow Lite Micro: {finding.message}")
        return None
    with listener.stage("writing C arrays for TensorFlow Lite Micro"):
        artifacts = tflm.build(model, mcu / "tflm")
    with listener.stage(f"running {len(trial.samples)} samples in TFLM on this machine"):
        result = run_micro(model.content, model.graph, trial.samples)
    mismatch = compare_outputs(model.graph, trial.expected, result.outputs)
    return TflmReport(
        directory=str(mcu / "tflm"),
        files=list(artifacts.files),
        bit_exact=mismatch is None,
        samples=len(trial.samples),
        mismatch=mismatch,
        host_arena_bytes=artifacts.figures["arena_bytes_host"],
        arena_bytes=artifacts.figures["tensor_arena_bytes"],
    )


def emulate(
    model: Int8Model,
    mcu: Path,
    trial: Trial,
    settings: McuSettings,
    listener: Listener,
    *,
    runtime: cortex_m.RuntimeKind | None = None,
    tflm_options: cortex_m.TflmOptions | None = None,
    debug_tensors: bool = False,
) -> Emulated:
    """Builds the firmware for a core, runs the trial on it and compares every output byte.

    Args:
        model: The int8 model.
        mcu: The folder with ``aot/`` or ``tflm/``; ``firmware/`` joins them.
        trial: Samples, and the reference's outputs for them.
        settings: Core, runtime and time limit.
        listener: Hears of the progress.
        runtime: What executes the model; None for the one of the settings.
        tflm_options: With TFLM: the library, and the arena; None for what ``TFLM_ROOT`` names.
        debug_tensors: Also run a firmware that writes every tensor, and compare them all.

    Raises:
        TidepoolError: A tool is missing, the firmware doesn't build, faults or hangs.
    """
    chosen = runtime or settings.runtime.kind
    firmware, result = _run(model, mcu, trial, settings, listener, chosen, tflm_options)
    mismatch = compare_outputs(model.graph, trial.expected, result.outputs)
    if debug_tensors:
        # The first tensor that differs says more than the output that differs because of it.
        mismatch = _compare_trace(model, mcu, trial, settings, listener, chosen) or mismatch
    sizes = cortex_m.measure_sizes(firmware)
    instructions = result.instructions or ()
    report = EmulationReport(
        core=firmware.board.core,
        board=firmware.board.name,
        machine=result.machine,
        runtime=firmware.runtime,
        samples=len(trial.samples),
        bit_exact=mismatch is None,
        compared="every tensor" if debug_tensors else "every output",
        mismatch=mismatch,
        instructions=instructions[0],
        instructions_max=max(instructions),
        estimated_cycles=result.estimated_cycles[0] if result.estimated_cycles else None,
        instruction_count_method=result.count_method,
        text_bytes=sizes.text_bytes,
        rodata_bytes=sizes.rodata_bytes,
        image={name.lstrip("."): size for name, size in sizes.sections.items() if size},
        flash_bytes=sizes.flash_bytes,
        ram_bytes=sizes.ram_bytes,
        # TFLM reports what stays in use, which is less than it needs to plan.
        arena_bytes=result.arena_bytes if chosen is cortex_m.RuntimeKind.AOT else sizes.arena_bytes,
        stack_bytes=result.stack_bytes,
        output_crc32=output_crc32(result.outputs[0]),
    )
    return Emulated(report, result.outputs, firmware, sizes)


def _run(
    model: Int8Model,
    mcu: Path,
    trial: Trial,
    settings: McuSettings,
    listener: Listener,
    runtime: cortex_m.RuntimeKind,
    tflm_options: cortex_m.TflmOptions | None = None,
    *,
    trace: bool = False,
) -> tuple[cortex_m.Firmware, cortex_m.EmulationResult]:
    board = _emulated_board(model, mcu, settings, listener, runtime)
    kind = "tracing firmware" if trace else "firmware"
    with listener.stage(f"building {kind} for {board.core} ({board.name})"):
        firmware = cortex_m.build_firmware(
            mcu,
            model.name,
            board,
            runtime,
            trace=trace,
            optimize=settings.optimize.compiler_flag,
            tflm=tflm_options or cortex_m.TflmOptions(),
        )
    count = len(trial.samples)
    with listener.stage(f"running {count} samples on the emulated {board.core}") as progress:
        result = cortex_m.run_firmware(
            firmware,
            trial.samples,
            cortex_m.layouts_of(model.graph.output_tensors),
            emulator=settings.emulator,
            timeout=settings.timeout_seconds,
            progress=progress,
        )
    return firmware, result


def _emulated_board(
    model: Int8Model,
    mcu: Path,
    settings: McuSettings,
    listener: Listener,
    runtime: cortex_m.RuntimeKind,
) -> cortex_m.Board:
    """The board to emulate: for one that QEMU hasn't got, the one that stands for its core.

    The firmware for the board itself is linked all the same: what doesn't fit it, fails here.
    """
    board = cortex_m.find_board(settings.core)
    stand_in = cortex_m.emulated_board(board)
    if settings.emulator is not cortex_m.EmulatorKind.QEMU or stand_in is board:
        return board
    with listener.stage(f"building firmware for {board.core} ({board.name})"):
        flag = settings.optimize.compiler_flag
        cortex_m.build_firmware(mcu, model.name, board, runtime, optimize=flag)
    listener.note(f"QEMU has no {board.name}: {stand_in.name} stands in, with the same core")
    return stand_in


def _compare_trace(
    model: Int8Model,
    mcu: Path,
    trial: Trial,
    settings: McuSettings,
    listener: Listener,
    runtime: cortex_m.RuntimeKind,
) -> MismatchReport | None:
    """Runs a firmware that writes every tensor, and compares them all."""
    _, result = _run(model, mcu, trial, settings, listener, runtime, trace=True)
    trace = result.trace
    if runtime is cortex_m.RuntimeKind.AOT:
        trace = cgen.full_trace(model.graph, trace)
    with listener.stage("comparing every tensor with the reference") as progress:
        return compare_tensors(model.content, model.graph, trial.samples, trace, progress)


def output_crc32(outputs: Sequence[Array]) -> str:
    """CRC-32 over the bytes of all outputs in order, as eight hexadecimal digits."""
    checksum = 0
    for array in outputs:
        checksum = zlib.crc32(np.ascontiguousarray(array).tobytes(), checksum)
    return f"{checksum:08x}"

"""The Cortex-M target: sources, firmware, and the proof on the emulator."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.tflite import Graph
from converters.tflite.graph import Array
from device_runners import cgen, cortex_m, tflm
from device_runners.host.micro import run_micro
from pipeline.comparison import compare_outputs, compare_tensors
from pipeline.listener import Listener
from pipeline.report import EmulationReport, McuReport, MismatchReport, TflmReport
from pipeline.settings import McuSettings

Sample = Sequence[Array]


@dataclass(frozen=True)
class Emulated:
    """What an emulation gave: its report, and the outputs for a metric on them."""

    report: EmulationReport
    outputs: list[list[Array]]


def build(model: bytes, graph: Graph, name: str, out: Path, listener: Listener) -> McuReport:
    """Writes ``tflm/`` and ``aot/`` under ``out``.

    Raises:
        TidepoolError: The code generator lacks an op, naming it and its output.
    """
    cgen.check(graph).raise_if_blocking()
    with listener.stage("generating ahead-of-time C"):
        artifacts = cgen.build(graph, out / "aot", name=name)
    report = McuReport(
        aot_directory=str(out / "aot"),
        arena_bytes=artifacts.figures["arena_bytes"],
        arena_lower_bound_bytes=artifacts.figures["lower_bound_bytes"],
    )
    findings = tflm.check(graph)
    if findings.blocking:
        # The ahead-of-time code doesn't need TFLM: say why its artifacts are missing and go on.
        for finding in findings.blocking:
            listener.warn(f"no TFLM artifacts: {finding.message}")
        return report
    with listener.stage("writing C arrays for TensorFlow Lite Micro"):
        tflm.build(graph, out / "tflm", model=model, name=name)
    return report


def verify_tflm(
    model: bytes, graph: Graph, samples: Sequence[Sample], directory: Path, listener: Listener
) -> TflmReport:
    """Runs the same flatbuffer in the real TFLM interpreter and compares with the reference."""
    with listener.stage(f"running {len(samples)} samples in TFLM's interpreter") as progress:
        result = run_micro(model, graph, samples)
        mismatch = compare_outputs(model, graph, samples, result.outputs, progress)
    return TflmReport(
        directory=str(directory),
        bit_exact=mismatch is None,
        samples=len(samples),
        mismatch=mismatch,
        host_arena_bytes=result.arena_bytes,
        arena_bytes=tflm.arena_size(result.arena_bytes),
    )


def emulate(
    model: bytes,
    graph: Graph,
    name: str,
    out: Path,
    samples: Sequence[Sample],
    settings: McuSettings,
    listener: Listener,
    *,
    debug_tensors: bool = False,
) -> Emulated:
    """Builds the firmware for a core, runs samples on it and compares every output byte.

    Args:
        model: The int8 model's file content.
        graph: Its graph.
        name: Its name.
        out: The folder with ``aot/`` or ``tflm/``; ``firmware/`` joins them.
        samples: For each sample one array an input.
        settings: Core, runtime and time limit.
        listener: Hears of the progress.
        debug_tensors: Also run a firmware that writes every tensor, and compare them all.

    Raises:
        TidepoolError: A tool is missing, the firmware doesn't build, faults or hangs.
    """
    board = cortex_m.find_board(settings.core)
    with listener.stage(f"building firmware for {board.core} ({board.name})"):
        firmware = cortex_m.build_firmware(out, name, board, settings.runtime)
    with listener.stage(f"running {len(samples)} samples on the emulated {board.core}") as progress:
        result = cortex_m.run_firmware(
            firmware,
            samples,
            cortex_m.layouts_of(graph.output_tensors),
            timeout=settings.timeout_seconds,
            progress=progress,
        )
    with listener.stage("comparing with the reference (LiteRT, BUILTIN_REF)") as progress:
        mismatch = compare_outputs(model, graph, samples, result.outputs, progress)
    if debug_tensors:
        # The first tensor that differs says more than the output that differs because of it.
        traced = _trace(model, graph, name, out, samples, settings, listener)
        mismatch = traced or mismatch
    sizes = cortex_m.measure_sizes(firmware)
    counts = result.instructions or ()
    report = EmulationReport(
        core=board.core,
        board=board.name,
        machine=board.qemu_machine,
        runtime=settings.runtime,
        samples=len(samples),
        bit_exact=mismatch is None,
        compared_tensors="every tensor" if debug_tensors else "every output",
        mismatch=mismatch,
        instructions=counts[0],
        instructions_max=max(counts),
        instruction_count_method=result.count_method,
        text_bytes=sizes.text_bytes,
        rodata_bytes=sizes.rodata_bytes,
        image={section.lstrip("."): size for section, size in sizes.sections.items() if size},
        arena_bytes=result.arena_bytes,
        stack_bytes=result.stack_bytes,
        output_crc32=output_crc32(result.outputs[0]),
    )
    return Emulated(report, result.outputs)


def _trace(
    model: bytes,
    graph: Graph,
    name: str,
    out: Path,
    samples: Sequence[Sample],
    settings: McuSettings,
    listener: Listener,
) -> MismatchReport | None:
    """Runs a firmware that writes every tensor, and compares them all."""
    board = cortex_m.find_board(settings.core)
    with listener.stage(f"tracing every tensor on the emulated {board.core}") as progress:
        firmware = cortex_m.build_firmware(out, name, board, settings.runtime, trace=True)
        result = cortex_m.run_firmware(
            firmware,
            samples,
            cortex_m.layouts_of(graph.output_tensors),
            timeout=settings.timeout_seconds,
            progress=progress,
        )
    with listener.stage("comparing every tensor with the reference") as progress:
        return compare_tensors(model, graph, samples, result.trace, progress)


def output_crc32(outputs: Sequence[Array]) -> str:
    """CRC-32 over the bytes of all outputs in order, as eight hexadecimal digits."""
    checksum = 0
    for array in outputs:
        checksum = zlib.crc32(np.ascontiguousarray(array).tobytes(), checksum)
    return f"{checksum:08x}"

"""How small TFLM's arena may be on a core: tried there, not computed.

``MicroInterpreter::arena_used_bytes()`` is what stays in use after ``AllocateTensors()``. While it
plans, TFLM needs temporary memory in the same arena, and it packs differently into a smaller one;
so the figure is only where the search begins, and what counts is a size at which the model ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.errors import TidepoolError
from converters.progress import Progress, no_progress
from converters.tflite.graph import Array
from device_runners.cortex_m.board import Board
from device_runners.cortex_m.emulator import (
    DEFAULT_SAMPLE_SECONDS,
    EmulationResult,
    EmulatorKind,
    TensorLayout,
)
from device_runners.cortex_m.firmware import (
    Firmware,
    RuntimeKind,
    TflmOptions,
    build_firmware,
    vary_firmware,
)
from device_runners.cortex_m.runner import run_firmware
from device_runners.cortex_m.tflm_library import TflmLibrary

GRANULE = 16
"""The search's step in bytes: TFLM aligns buffers to this, and so must the arena be."""

# What the trial leaves of the RAM for everything that isn't the arena.
_OTHER_RAM = 64 * 1024


@dataclass(frozen=True)
class ArenaMeasurement:
    """What an arena needs on an emulated core.

    Attributes:
        used_bytes: ``arena_used_bytes()`` in an arena with room to spare.
        smallest_bytes: A multiple of ``GRANULE`` at which the model ran with the same outputs;
            a ``GRANULE`` less is either too small or less than ``used_bytes``.
        library: What was linked.
        runs: How many sizes were tried.
    """

    used_bytes: int
    smallest_bytes: int
    library: TflmLibrary
    runs: int


def measure_arena(
    mcu_directory: Path,
    model: str,
    board: Board,
    tflm: TflmOptions,
    sample: Sequence[Array],
    outputs: Sequence[TensorLayout],
    *,
    trial_bytes: int,
    emulator: EmulatorKind = EmulatorKind.QEMU,
    timeout: float = DEFAULT_SAMPLE_SECONDS,
    progress: Progress = no_progress,
) -> ArenaMeasurement:
    """Finds the smallest arena at which a model runs on an emulated core.

    Args:
        mcu_directory: The folder that holds ``tflm/``.
        model: Name of the model, a C identifier.
        board: The board whose emulator runs it.
        tflm: The library to link.
        sample: An array for each input of the model.
        outputs: The layout of each output.
        trial_bytes: An arena that is probably large enough. If it isn't, all RAM is tried.
        emulator: What emulates the core.
        timeout: Seconds on the host that one run may take.
        progress: Called with the runs done; how many there will be isn't known.

    Raises:
        TidepoolError: The library doesn't fit, or the model doesn't run with all the board's RAM.
    """
    firmware = build_firmware(mcu_directory, model, board, RuntimeKind.TFLM, tflm=tflm)
    assert firmware.tflm is not None
    trials = _Trials(firmware, sample, outputs, emulator, timeout, progress)
    enough = _round_up(trial_bytes)
    try:
        reference = trials.run(enough)
    except TidepoolError as first:
        all_ram = (board.memory.ram.length - _OTHER_RAM) // GRANULE * GRANULE
        if all_ram <= enough:
            raise
        enough = all_ram
        try:
            reference = trials.run(enough)
        except TidepoolError:
            # It isn't the arena's size then, and what went wrong at first says more.
            raise first from None
    used = reference.arena_bytes
    candidate = _round_up(used)
    too_small = candidate - GRANULE
    while too_small < candidate < enough:
        if trials.agrees(candidate, reference):
            enough = candidate
        else:
            too_small = candidate
        candidate = (too_small + enough) // 2 // GRANULE * GRANULE
    return ArenaMeasurement(used, enough, firmware.tflm, trials.count)


@dataclass
class _Trials:
    """Runs of one model in arenas of different sizes."""

    firmware: Firmware
    sample: Sequence[Array]
    outputs: Sequence[TensorLayout]
    emulator: EmulatorKind
    timeout: float
    progress: Progress
    count: int = 0

    def run(self, arena_bytes: int) -> EmulationResult:
        self.firmware = vary_firmware(self.firmware, arena_bytes=arena_bytes)
        result = run_firmware(
            self.firmware,
            [self.sample],
            self.outputs,
            emulator=self.emulator,
            timeout=self.timeout,
        )
        self.count += 1
        self.progress(self.count, None)
        return result

    def agrees(self, arena_bytes: int, reference: EmulationResult) -> bool:
        """Whether the model runs in an arena of this size, with the same outputs."""
        try:
            result = self.run(arena_bytes)
        except TidepoolError:
            # It ran in a larger arena, so that the size is the reason: AllocateTensors failed, or
            # TFLM, whose checks a release leaves out, wrote through a null pointer and faulted.
            return False
        pairs = zip(result.outputs[0], reference.outputs[0], strict=True)
        return all(np.array_equal(ours, theirs) for ours, theirs in pairs)


def _round_up(size: int) -> int:
    return size + -size % GRANULE

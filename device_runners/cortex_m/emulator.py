"""What an emulator is to the rest: firmware and samples in, outputs and measurements out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

from converters.progress import Progress, no_progress
from converters.tflite.graph import Array
from device_runners.cortex_m.counting import CountMethod
from device_runners.cortex_m.firmware import Firmware

DEFAULT_SAMPLE_SECONDS = 120.0
"""How long one sample may take on the host before the firmware counts as hung."""


class EmulatorKind(StrEnum):
    """The emulators that can run a firmware."""

    QEMU = "qemu"
    """``qemu-system-arm``: for the boards that it has a machine for; counts exactly."""
    RENODE = "renode"
    """Renode: for every board, on a platform that is made from its memory map."""


@dataclass(frozen=True)
class TensorLayout:
    """How to read the bytes of a tensor.

    Attributes:
        shape: Its dimensions.
        dtype: Its element type, little-endian.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class EmulationResult:
    """What one run of a firmware gave.

    Attributes:
        emulator: What ran it.
        machine: The emulator's machine: the name of QEMU's, or that of the board whose platform
            was made for Renode.
        outputs: For each sample the outputs, in the layouts that were asked for.
        instructions: For each sample the instructions that one inference executed: from the first
            one after the call of ``tidepool_count_begin`` up to and with the ``bl`` that calls
            ``tidepool_count_end``. Instructions are not cycles. None when the firmware traces,
            since a trace executes instructions of its own.
        estimated_cycles: For each sample what these would take on a Cortex-M4 by its published
            timing, whatever core was emulated (``docs/emulation.md``). None unless the plugin
            counted.
        count_method: How they were counted: ``plugin`` is exact, ``icount`` is not.
        count_note: Why it wasn't the plugin; empty when it was.
        stack_bytes: The deepest that the inference's stack grew over all samples.
        arena_bytes: Bytes of the arena in use.
        trace: The bytes of each tensor by (sample, tensor index); empty without a trace.
        console: What the firmware printed.
        seconds: Time on the host, for the whole run.
    """

    emulator: EmulatorKind
    machine: str
    outputs: list[list[Array]]
    instructions: tuple[int, ...] | None
    estimated_cycles: tuple[int, ...] | None
    count_method: CountMethod
    count_note: str
    stack_bytes: int
    arena_bytes: int
    trace: dict[tuple[int, int], bytes] = field(repr=False)
    console: str = field(repr=False)
    seconds: float


class Emulator(Protocol):
    """Runs firmware."""

    def run(
        self,
        firmware: Firmware,
        inputs: Sequence[Sequence[Array]],
        outputs: Sequence[TensorLayout],
        progress: Progress = no_progress,
    ) -> EmulationResult:
        """Runs a firmware on samples.

        Args:
            firmware: What ``build_firmware`` returned.
            inputs: For each sample an array for each input of the model, in the model's dtypes.
            outputs: The layout of each output of the model.
            progress: Called with the samples done and the samples in total.

        Raises:
            TidepoolError: The emulator is missing or has no machine for the board; the firmware
                faults, hangs, ends early, or wants other inputs or gives other outputs than these.
        """
        ...

"""The facade: sources in, firmware out; samples in, outputs and measurements out."""

from __future__ import annotations

from collections.abc import Sequence

from converters.progress import Progress, no_progress
from converters.tflite.graph import Array, Tensor
from device_runners.cortex_m.emulator import (
    DEFAULT_SAMPLE_SECONDS,
    EmulationResult,
    Emulator,
    EmulatorKind,
    TensorLayout,
)
from device_runners.cortex_m.firmware import Firmware
from device_runners.cortex_m.qemu import Qemu
from device_runners.cortex_m.renode import Renode


def layouts_of(tensors: Sequence[Tensor]) -> list[TensorLayout]:
    """The layouts of a graph's tensors, for ``run_firmware``."""
    return [TensorLayout(tensor.shape, tensor.type.dtype) for tensor in tensors]


def make_emulator(
    kind: EmulatorKind | str = EmulatorKind.QEMU, *, timeout: float = DEFAULT_SAMPLE_SECONDS
) -> Emulator:
    """The emulator of a kind.

    Args:
        kind: Which one.
        timeout: Seconds on the host that one sample may take before the firmware counts as hung.
    """
    if EmulatorKind(kind) is EmulatorKind.RENODE:
        return Renode(sample_seconds=timeout)
    return Qemu(sample_seconds=timeout)


def run_firmware(
    firmware: Firmware,
    inputs: Sequence[Sequence[Array]],
    outputs: Sequence[TensorLayout],
    *,
    emulator: EmulatorKind | str = EmulatorKind.QEMU,
    timeout: float = DEFAULT_SAMPLE_SECONDS,
    progress: Progress = no_progress,
) -> EmulationResult:
    """Runs a firmware on an emulator.

    Args:
        firmware: What ``build_firmware`` returned.
        inputs: For each sample an array for each input of the model, in the model's dtypes.
        outputs: The layout of each output of the model.
        emulator: What runs it.
        timeout: Seconds on the host that one sample may take before the firmware counts as hung.
        progress: Called with the samples done and the samples in total.

    Raises:
        TidepoolError: See ``Emulator.run``.
    """
    return make_emulator(emulator, timeout=timeout).run(firmware, inputs, outputs, progress)

"""The facade: sources in, firmware out; samples in, outputs and measurements out."""

from __future__ import annotations

from collections.abc import Sequence

from converters.progress import Progress, no_progress
from converters.tflite.graph import Array, Tensor
from device_runners.cortex_m.emulator import (
    DEFAULT_SAMPLE_SECONDS,
    EmulationResult,
    Emulator,
    TensorLayout,
)
from device_runners.cortex_m.firmware import Firmware


def layouts_of(tensors: Sequence[Tensor]) -> list[TensorLayout]:
    """The layouts of a graph's tensors, for ``run_firmware``."""
    return [TensorLayout(tensor.shape, tensor.type.dtype) for tensor in tensors]


def run_firmware(
    firmware: Firmware,
    inputs: Sequence[Sequence[Array]],
    outputs: Sequence[TensorLayout],
    *,
    timeout: float = DEFAULT_SAMPLE_SECONDS,
    progress: Progress = no_progress,
) -> EmulationResult:
    """Runs a firmware on its board's emulator.

    Args:
        firmware: What ``build_firmware`` returned.
        inputs: For each sample an array for each input of the model, in the model's dtypes.
        outputs: The layout of each output of the model.
        timeout: Seconds on the host that one sample may take before the firmware counts as hung.
        progress: Called with the samples done and the samples in total.

    Raises:
        TidepoolError: See ``Emulator.run``.
    """
    return Emulator(sample_seconds=timeout).run(firmware, inputs, outputs, progress)

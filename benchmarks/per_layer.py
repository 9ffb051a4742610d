"""Counts the instructions of every layer of ahead-of-time code on QEMU, beside its floor.

The generated code calls ``tidepool_trace`` behind every operator. Here that function is nothing but
the markers of the counting plugin, one end and one begin, so that every layer is counted by itself.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from floors import floor_of

from converters.errors import TidepoolError
from converters.tflite.graph import Array, Graph
from converters.tflite.int4 import with_int8_weights
from device_runners import cortex_m
from device_runners.cgen.passes import run_passes
from device_runners.cgen.program import Program
from device_runners.cortex_m.counting import read_counts
from device_runners.cortex_m.image import read_image
from device_runners.cortex_m.qemu import machine_of
from device_runners.runner import Artifacts
from pipeline.stages.mcu import isa_of

_SECONDS = 300
_TRACE = """\
#include "trace.h"

int trace_open(void)
{
    return 0;
}

void trace_sample(uint32_t sample)
{
    (void)sample;
}

void trace_close(void)
{
}

__attribute__((naked)) void tidepool_trace(uint32_t tensor_index __attribute__((unused)),
                                           const void *data __attribute__((unused)),
                                           uint32_t bytes __attribute__((unused)))
{
    __asm__ volatile("push {r4, lr}\\n\\t"
                     "bl   tidepool_count_end\\n\\t"
                     "bl   tidepool_count_begin\\n\\t"
                     "pop  {r4, pc}");
}
"""


@dataclass(frozen=True)
class LayerCount:
    """One layer.

    Attributes:
        index: Its operator.
        opcode: What it computes.
        kernel: The kernel that computes it; None if it is only another shape.
        reason: Why that kernel.
        output_shape: Its output's shape.
        macs: Its multiply-accumulates.
        instructions: What it took, the call included (and about ten of the markers).
        estimated_cycles: What they would take on a Cortex-M4, by its published timing.
        floor: What its arithmetic alone takes on the core's level (``floors.py``); None for a layer
            without a model.
    """

    index: int
    opcode: str
    kernel: str | None
    reason: str
    output_shape: tuple[int, ...]
    macs: int
    instructions: int
    estimated_cycles: int
    floor: float | None

    @property
    def instructions_per_mac(self) -> float | None:
        """None for a layer without multiply-accumulates."""
        return self.instructions / self.macs if self.macs else None

    @property
    def floor_per_mac(self) -> float | None:
        """None for a layer without multiply-accumulates."""
        return self.floor / self.macs if self.macs and self.floor is not None else None

    @property
    def times_floor(self) -> float | None:
        """Instructions over the floor."""
        return self.instructions / self.floor if self.floor else None

    def as_json(self, *, estimate: bool) -> dict[str, Any]:
        """The fields, and what follows from them.

        Args:
            estimate: Whether the estimate of cycles means anything on the core.
        """
        return {
            **asdict(self),
            "estimated_cycles": self.estimated_cycles if estimate else None,
            "floor": _rounded(self.floor, 0),
            "instructions_per_mac": _rounded(self.instructions_per_mac, 3),
            "floor_per_mac": _rounded(self.floor_per_mac, 3),
            "times_floor": _rounded(self.times_floor, 3),
        }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def count_layers(
    artifacts: Artifacts, graph: Graph, core: str, sample: Sequence[Array]
) -> list[LayerCount]:
    """Counts one inference, layer by layer.

    Args:
        artifacts: What ``cgen.build`` made for the core, in ``<folder>/aot``.
        graph: The model.
        core: An emulated core.
        sample: One array for each input.

    Raises:
        TidepoolError: The firmware can't be built or run, or the plugin isn't to be had.
    """
    layers = artifacts.figures["layers"]
    executed = run_passes(Program(with_int8_weights(graph))).graph
    with tempfile.TemporaryDirectory(prefix="tidepool-layers-") as name:
        folder = Path(name)
        shutil.copytree(artifacts.directory, folder / "aot")
        board = cortex_m.find_board(core)
        firmware = cortex_m.build_firmware(folder, artifacts.figures["model"], board, trace=True)
        (firmware.directory / "src" / "trace.c").write_text(_TRACE)
        build = ["cmake", "--build", str(firmware.elf.parent)]
        subprocess.run(build, check=True, capture_output=True, timeout=_SECONDS)
        counts = _run(firmware, sample, folder)
    # Before the first layer: what leads to each input's trace. Behind the last: the return.
    counts = counts[len(dict.fromkeys(graph.inputs)) :]
    return [
        LayerCount(
            layer["index"],
            layer["opcode"],
            layer["kernel"],
            layer["reason"],
            tuple(layer["output_shape"]),
            layer["macs"],
            *count,
            floor_of(executed, executed.operators[layer["index"]], layer["macs"], isa_of(core)),
        )
        for layer, count in zip(layers, counts, strict=False)
    ]


def _run(
    firmware: cortex_m.Firmware, sample: Sequence[Array], folder: Path
) -> tuple[tuple[int, int], ...]:
    counter = cortex_m.instruction_counter()
    if counter.plugin is None:
        raise TidepoolError(
            f"layers can't be counted: {counter.reason}", hint="'tidepool doctor' says more"
        )
    (folder / "inputs.bin").write_bytes(b"".join(array.tobytes() for array in sample))
    image = read_image(firmware.elf)
    begin, end = (image.function(f"tidepool_count_{name}").address for name in ("begin", "end"))
    command = ["qemu-system-arm", "-machine", machine_of(firmware.board).machine]
    command += ["-display", "none", "-monitor", "none", "-serial", "none"]
    command += ["-chardev", "stdio,id=console"]
    command += ["-semihosting-config", "enable=on,target=native,chardev=console"]
    command += ["-plugin", f"{counter.plugin},begin={begin:#x},end={end:#x},out=counts.txt"]
    result = subprocess.run(
        [*command, "-kernel", str(firmware.elf)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise TidepoolError(
            f"counting the layers of {firmware.model} on {firmware.board.name} failed: "
            f"{(result.stdout + result.stderr).decode(errors='replace')[-500:]}"
        )
    return read_counts(folder / "counts.txt")

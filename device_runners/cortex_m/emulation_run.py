"""One run on an emulator: the folder with its files, the wait for its end, what came out of it.

The firmware reads and writes files of the host (``templates/src/main.c``), with every emulator.
"""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.errors import TidepoolError
from converters.progress import Progress
from converters.tflite.graph import Array
from device_runners.cortex_m.counting import CountMethod
from device_runners.cortex_m.emulator import EmulationResult, EmulatorKind, TensorLayout
from device_runners.cortex_m.faults import describe_fault
from device_runners.cortex_m.firmware import Firmware
from device_runners.cortex_m.image import Image, read_image

_POLL_SECONDS = 0.05
_DETAIL_LINES = 6
# Sample, tensor index, bytes: templates/src/trace.h describes the file.
_TRACE_HEADER = struct.Struct("<III")


@dataclass(frozen=True)
class Counts:
    """What the samples took, and how it was counted.

    Attributes:
        instructions: Executed instructions of each sample; None of a tracing firmware.
        method: How they were counted.
        note: Why it wasn't the plugin; empty when it was.
        cycles: The estimate for a Cortex-M4; None where only instructions are counted.
    """

    instructions: tuple[int, ...] | None
    method: CountMethod
    note: str
    cycles: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Run:
    """What is executed, where its files lie, and what they should hold."""

    firmware: Firmware
    image: Image
    directory: Path
    samples: int
    outputs: tuple[TensorLayout, ...]
    sample_seconds: float
    started: float

    @property
    def where(self) -> str:
        """Model and board, for messages."""
        return f"{self.firmware.model} on {self.firmware.board.name}"

    @property
    def sample_bytes(self) -> int:
        """Bytes of all outputs of one sample."""
        return sum(layout.bytes for layout in self.outputs)

    def samples_written(self) -> int:
        """How many samples' outputs are in the file so far."""
        path = self.directory / "outputs.bin"
        if self.sample_bytes == 0 or not path.exists():
            return 0
        return path.stat().st_size // self.sample_bytes

    def wait(
        self,
        process: subprocess.Popen[bytes],
        progress: Progress,
        samples_done: Callable[[], int],
        ended: Callable[[], bool] = lambda: False,
    ) -> int | None:
        """Waits until the emulator or the firmware in it ended.

        Args:
            process: The emulator.
            progress: Called with the samples done and the samples in total.
            samples_done: Says how many samples are through.
            ended: Says whether the firmware ended, of an emulator that doesn't end with it.

        Returns:
            The sample at which it hangs, or None when it ended by itself.
        """
        done = 0
        deadline = time.monotonic() + self.sample_seconds
        progress(0, self.samples)
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
                break
            if ended():
                break
            now_done = samples_done()
            if now_done > done:
                done = now_done
                deadline = time.monotonic() + self.sample_seconds
                progress(done, self.samples)
            if time.monotonic() > deadline:
                return done
        progress(samples_done(), self.samples)
        return None

    def check_end(self, console: str, hung: int | None, code: int | None, errors: str) -> None:
        """Raises what went wrong, if anything did.

        Args:
            console: What the firmware printed.
            hung: The sample at which it hung, or None.
            code: The firmware's exit code; None when it gave none.
            errors: The emulator's own messages.

        Raises:
            TidepoolError: The firmware faulted, hung, or ended with another code than 0.
        """
        fault = describe_fault(console, self.image)
        if fault is not None:
            raise TidepoolError(
                f"the firmware of {self.where} faulted: {fault}",
                hint=f"arm-none-eabi-addr2line -f -e {self.firmware.elf} <PC> names the line.",
            )
        if hung is not None:
            raise TidepoolError(
                f"the firmware of {self.where} hangs: sample {hung} took more than "
                f"{self.sample_seconds:g} s",
                hint="Raise the time limit if the model is that large.",
            )
        if code != 0:
            lines = errors.strip().splitlines()[:_DETAIL_LINES]
            details = "\n".join([console.strip(), *lines]).strip()
            ended = "without an exit code" if code is None else f"with code {code}"
            raise TidepoolError(f"the firmware of {self.where} ended {ended}: {details}")

    def result(
        self, emulator: EmulatorKind, machine: str, console: str, counts: Counts
    ) -> EmulationResult:
        """Reads what the firmware left.

        Raises:
            TidepoolError: It isn't what a firmware leaves that went through all samples.
        """
        summary = self.summary(console)
        outputs = self.read_outputs()
        if counts.instructions is not None and len(counts.instructions) != self.samples:
            raise TidepoolError(
                f"{len(counts.instructions)} instruction counts for {self.samples} samples"
            )
        is_trace = self.firmware.trace
        return EmulationResult(
            emulator=emulator,
            machine=machine,
            outputs=outputs,
            instructions=counts.instructions,
            estimated_cycles=counts.cycles,
            count_method=counts.method,
            count_note=counts.note,
            stack_bytes=summary["stack_bytes"],
            arena_bytes=summary["arena_bytes"],
            trace=read_trace(self.directory / "trace.bin") if is_trace else {},
            console=console,
            seconds=time.monotonic() - self.started,
        )

    def summary(self, console: str) -> dict[str, int]:
        """What the firmware says at its end: ``samples``, ``stack_bytes``, ``arena_bytes``.

        Raises:
            TidepoolError: It said nothing, or it read another number of samples than was given.
        """
        summary = _summary(console, self.firmware)
        if summary["samples"] != self.samples:
            raise TidepoolError(
                f"{self.firmware.model} read {summary['samples']} samples where {self.samples} "
                "were given: they don't have the size of the model's inputs"
            )
        return summary

    def read_outputs(self) -> list[list[Array]]:
        """The outputs of each sample, from ``outputs.bin``.

        Raises:
            TidepoolError: The file doesn't hold them all.
        """
        content = (self.directory / "outputs.bin").read_bytes()
        if len(content) != self.sample_bytes * self.samples:
            raise TidepoolError(
                f"{self.firmware.model} wrote {len(content)} bytes of outputs for {self.samples} "
                f"samples, not {self.sample_bytes} for each"
            )
        outputs: list[list[Array]] = []
        position = 0
        for _ in range(self.samples):
            sample: list[Array] = []
            for layout in self.outputs:
                part = np.frombuffer(content[position : position + layout.bytes], layout.dtype)
                sample.append(part.reshape(layout.shape).copy())
                position += layout.bytes
            outputs.append(sample)
        return outputs


def prepare_run(
    directory: Path,
    firmware: Firmware,
    inputs: Sequence[Sequence[Array]],
    outputs: Sequence[TensorLayout],
    sample_seconds: float,
) -> Run:
    """Writes ``inputs.bin`` into the folder in which the firmware's host is to run.

    Raises:
        TidepoolError: There is no sample, or the firmware's image can't be read.
    """
    if not inputs:
        raise TidepoolError("no sample to run", hint="Give at least one sample.")
    started = time.monotonic()
    image = read_image(firmware.elf)
    with (directory / "inputs.bin").open("wb") as file:
        for sample in inputs:
            for array in sample:
                file.write(np.ascontiguousarray(array).tobytes())
    return Run(firmware, image, directory, len(inputs), tuple(outputs), sample_seconds, started)


@contextlib.contextmanager
def run_in_folder(
    firmware: Firmware,
    inputs: Sequence[Sequence[Array]],
    outputs: Sequence[TensorLayout],
    sample_seconds: float,
) -> Iterator[Run]:
    """A temporary folder with ``inputs.bin``, in which the emulator is to run.

    Raises:
        TidepoolError: There is no sample, or the firmware's image can't be read.
    """
    with tempfile.TemporaryDirectory(prefix="tidepool-") as name:
        yield prepare_run(Path(name).resolve(), firmware, inputs, outputs, sample_seconds)


def read_trace(path: Path) -> dict[tuple[int, int], bytes]:
    """Reads ``trace.bin``: records of (uint32 sample, uint32 tensor index, uint32 bytes, data).

    Raises:
        TidepoolError: The file ends within a record.
    """
    content = path.read_bytes()
    trace: dict[tuple[int, int], bytes] = {}
    position = 0
    while position < len(content):
        data = position + _TRACE_HEADER.size
        sample, tensor, size = (
            _TRACE_HEADER.unpack_from(content, position) if data <= len(content) else (0, 0, 0)
        )
        if data + size > len(content):
            raise TidepoolError(f"{path.name} ends within a record, at byte {position}")
        trace[sample, tensor] = content[data : data + size]
        position = data + size
    return trace


def _summary(console: str, firmware: Firmware) -> dict[str, int]:
    for line in reversed(console.splitlines()):
        if line.startswith("{"):
            with contextlib.suppress(json.JSONDecodeError):
                summary: dict[str, int] = json.loads(line)
                return summary
    raise TidepoolError(
        f"{firmware.elf.name} ended without its summary; it printed: {console.strip()!r}"
    )

"""Runs firmware on QEMU, sample by sample, and reads back what it computed."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.progress import Progress, no_progress
from converters.tflite.graph import Array
from device_runners.cortex_m.counting import (
    TICKS_WRAPPED,
    Counter,
    CountMethod,
    instruction_counter,
    instructions_of_ticks,
)
from device_runners.cortex_m.faults import describe_fault
from device_runners.cortex_m.firmware import Firmware
from device_runners.cortex_m.image import Image, read_image
from device_runners.cortex_m.tools import QEMU, RUN_TOOLS, require_tools

DEFAULT_SAMPLE_SECONDS = 120.0
"""How long one sample may take on the host before the firmware counts as hung."""

_POLL_SECONDS = 0.05
_STDERR_LINES = 6
# Sample, tensor index, bytes: templates/src/trace.h describes the file.
_TRACE_HEADER = struct.Struct("<III")


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
        outputs: For each sample the outputs, in the layouts that were asked for.
        instructions: For each sample the instructions that one inference executed: from the first
            one after the call of ``tidepool_count_begin`` up to and with the ``bl`` that calls
            ``tidepool_count_end``. Instructions are not cycles. None when the firmware traces,
            since a trace executes instructions of its own.
        count_method: How they were counted: ``plugin`` is exact, ``icount`` is not.
        count_note: Why it wasn't the plugin; empty when it was.
        stack_bytes: The deepest that the inference's stack grew over all samples.
        arena_bytes: Bytes of the arena in use.
        trace: The bytes of each tensor by (sample, tensor index); empty without a trace.
        console: What the firmware printed.
        seconds: Time on the host, for the whole run.
    """

    outputs: list[list[Array]]
    instructions: tuple[int, ...] | None
    count_method: CountMethod
    count_note: str
    stack_bytes: int
    arena_bytes: int
    trace: dict[tuple[int, int], bytes] = field(repr=False)
    console: str = field(repr=False)
    seconds: float


@dataclass(frozen=True)
class Emulator:
    """QEMU, with a limit of time.

    Attributes:
        sample_seconds: How long one sample may take on the host; then the firmware has hung.
        counter: How to count instructions; by default the best way that this machine has.
    """

    sample_seconds: float = DEFAULT_SAMPLE_SECONDS
    counter: Counter | None = None

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
            TidepoolError: QEMU is missing, the firmware faults, hangs, ends early, or wants other
                inputs or gives other outputs than these.
        """
        require_tools(RUN_TOOLS)
        if not inputs:
            raise TidepoolError("no sample to run", hint="Give at least one sample.")
        counter = self.counter or instruction_counter()
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="tidepool-") as name:
            run = _Run(
                firmware=firmware,
                image=read_image(firmware.elf),
                counter=counter,
                directory=Path(name),
                samples=len(inputs),
                outputs=tuple(outputs),
            )
            _write_inputs(run.directory / "inputs.bin", inputs)
            console = self._execute(run, progress)
            summary = _summary(console, firmware)
            if summary["samples"] != run.samples:
                raise TidepoolError(
                    f"{firmware.model} read {summary['samples']} samples where {run.samples} "
                    "were given: they don't have the size of the model's inputs"
                )
            return EmulationResult(
                outputs=_read_outputs(run),
                instructions=None if firmware.trace else _read_counts(run),
                count_method=counter.method,
                count_note=counter.reason,
                stack_bytes=summary["stack_bytes"],
                arena_bytes=summary["arena_bytes"],
                trace=read_trace(run.directory / "trace.bin") if firmware.trace else {},
                console=console,
                seconds=time.monotonic() - started,
            )

    def _execute(self, run: _Run, progress: Progress) -> str:
        """Runs QEMU to its end; returns the firmware's console, or raises what went wrong."""
        console_path, stderr_path = run.directory / "console.txt", run.directory / "stderr.txt"
        with console_path.open("wb") as console, stderr_path.open("wb") as stderr:
            process = subprocess.Popen(
                run.command(),
                cwd=run.directory,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=stderr,
            )
            try:
                hung = self._wait(process, run, progress)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
        text = console_path.read_text(errors="replace")
        fault = describe_fault(text, run.image)
        where = f"{run.firmware.model} on {run.firmware.board.name}"
        if fault is not None:
            raise TidepoolError(
                f"the firmware of {where} faulted: {fault}",
                hint=f"arm-none-eabi-addr2line -f -e {run.firmware.elf} <PC> names the line.",
            )
        if hung is not None:
            raise TidepoolError(
                f"the firmware of {where} hangs: sample {hung} took more than "
                f"{self.sample_seconds:g} s",
                hint="Raise the time limit if the model is that large.",
            )
        if process.returncode != 0:
            errors = stderr_path.read_text(errors="replace").strip().splitlines()
            details = "\n".join([text.strip(), *errors[:_STDERR_LINES]]).strip()
            raise TidepoolError(
                f"the firmware of {where} ended with code {process.returncode}: {details}"
            )
        return text

    def _wait(self, process: subprocess.Popen[bytes], run: _Run, progress: Progress) -> int | None:
        """Waits for the end; the sample at which it hangs, or None when it ended by itself."""
        done = 0
        deadline = time.monotonic() + self.sample_seconds
        progress(0, run.samples)
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
                progress(run.samples_done(), run.samples)
                return None
            now_done = run.samples_done()
            if now_done > done:
                done = now_done
                deadline = time.monotonic() + self.sample_seconds
                progress(done, run.samples)
            if time.monotonic() > deadline:
                return done


@dataclass(frozen=True)
class _Run:
    """One run: what is executed, where its files lie, and what they should hold."""

    firmware: Firmware
    image: Image
    counter: Counter
    directory: Path
    samples: int
    outputs: tuple[TensorLayout, ...]

    @property
    def sample_bytes(self) -> int:
        """Bytes of all outputs of one sample."""
        return sum(layout.bytes for layout in self.outputs)

    def samples_done(self) -> int:
        path = self.directory / "outputs.bin"
        if self.sample_bytes == 0 or not path.exists():
            return 0
        return path.stat().st_size // self.sample_bytes

    def command(self) -> list[str]:
        command = [QEMU, "-machine", self.firmware.board.qemu_machine]
        command += ["-display", "none", "-monitor", "none", "-serial", "none"]
        # Without a chardev of its own semihosting prints to stderr, among QEMU's messages.
        command += ["-chardev", "stdio,id=console"]
        command += ["-semihosting-config", "enable=on,target=native,chardev=console"]
        if self.counter.plugin is not None:
            begin = self.image.function("tidepool_count_begin").address
            end = self.image.function("tidepool_count_end").address
            # Commas separate the arguments; QEMU reads a doubled one as itself.
            library = str(self.counter.plugin).replace(",", ",,")
            command += ["-plugin", f"{library},begin={begin:#x},end={end:#x},out=counts.txt"]
        else:
            command += ["-icount", "shift=0"]
        return [*command, "-kernel", str(self.firmware.elf)]


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


def _write_inputs(path: Path, inputs: Sequence[Sequence[Array]]) -> None:
    with path.open("wb") as file:
        for sample in inputs:
            for array in sample:
                file.write(np.ascontiguousarray(array).tobytes())


def _summary(console: str, firmware: Firmware) -> dict[str, int]:
    for line in reversed(console.splitlines()):
        if line.startswith("{"):
            with contextlib.suppress(json.JSONDecodeError):
                summary: dict[str, int] = json.loads(line)
                return summary
    raise TidepoolError(
        f"{firmware.elf.name} ended without its summary; it printed: {console.strip()!r}"
    )


def _read_outputs(run: _Run) -> list[list[Array]]:
    content = (run.directory / "outputs.bin").read_bytes()
    if len(content) != run.sample_bytes * run.samples:
        raise TidepoolError(
            f"{run.firmware.model} wrote {len(content)} bytes of outputs for {run.samples} "
            f"samples, not {run.sample_bytes} for each"
        )
    outputs: list[list[Array]] = []
    position = 0
    for _ in range(run.samples):
        sample: list[Array] = []
        for layout in run.outputs:
            part = np.frombuffer(content[position : position + layout.bytes], dtype=layout.dtype)
            sample.append(part.reshape(layout.shape).copy())
            position += layout.bytes
        outputs.append(sample)
    return outputs


def _read_counts(run: _Run) -> tuple[int, ...]:
    if run.counter.method is CountMethod.PLUGIN:
        counts = [int(line) for line in (run.directory / "counts.txt").read_text().split()]
    else:
        board = run.firmware.board
        ticks = np.fromfile(run.directory / "ticks.bin", dtype="<u4").tolist()
        if TICKS_WRAPPED in ticks:
            limit = instructions_of_ticks(2**24, board)
            raise TidepoolError(
                f"an inference of {run.firmware.model} takes more than the {limit} instructions "
                f"that SysTick can count on {board.name}",
                hint=f"Make the plugin work, which has no such limit: {run.counter.reason}.",
            )
        counts = [instructions_of_ticks(each, board) for each in ticks]
    if len(counts) != run.samples:
        raise TidepoolError(f"{len(counts)} instruction counts for {run.samples} samples")
    return tuple(counts)

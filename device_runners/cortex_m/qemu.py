"""QEMU: runs firmware of the boards that it has a machine for, and counts its instructions."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.errors import TidepoolError
from converters.progress import Progress, no_progress
from converters.tflite.graph import Array
from device_runners.cortex_m.board import Board, QemuMachine, all_boards
from device_runners.cortex_m.counting import (
    TICKS_WRAPPED,
    Counter,
    CountMethod,
    instruction_counter,
    instructions_of_ticks,
    read_counts,
)
from device_runners.cortex_m.emulation_run import Counts, Run, run_in_folder
from device_runners.cortex_m.emulator import (
    DEFAULT_SAMPLE_SECONDS,
    EmulationResult,
    EmulatorKind,
    TensorLayout,
)
from device_runners.cortex_m.firmware import Firmware
from device_runners.cortex_m.tools import QEMU, RUN_TOOLS, require_tools


@dataclass(frozen=True)
class Qemu:
    """``qemu-system-arm``, with a limit of time.

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
        """Runs a firmware on samples: see ``Emulator.run``."""
        machine = machine_of(firmware.board)
        require_tools(RUN_TOOLS)
        counter = self.counter or instruction_counter()
        with run_in_folder(firmware, inputs, outputs, self.sample_seconds) as run:
            console = _execute(run, machine, counter, progress)
            return run.result(
                EmulatorKind.QEMU, machine.machine, console, _counts(run, machine, counter)
            )


def machine_of(board: Board) -> QemuMachine:
    """QEMU's machine for a board.

    Raises:
        TidepoolError: It has none.
    """
    if board.qemu is None:
        alike = [each for each in all_boards() if each.qemu and each.core == board.core]
        names = ", ".join(each.name for each in alike)
        raise TidepoolError(
            f"QEMU has no machine for the board {board.name}",
            hint=f"Emulate its core instead: {board.core} ({names}). Or use Renode.",
        )
    return board.qemu


def _execute(run: Run, machine: QemuMachine, counter: Counter, progress: Progress) -> str:
    """Runs QEMU to its end; returns the firmware's console, or raises what went wrong."""
    console_path, stderr_path = run.directory / "console.txt", run.directory / "stderr.txt"
    with console_path.open("wb") as console, stderr_path.open("wb") as stderr:
        process = subprocess.Popen(
            _command(run, machine, counter),
            cwd=run.directory,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=stderr,
        )
        try:
            hung = run.wait(process, progress, run.samples_written)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    text = console_path.read_text(errors="replace")
    run.check_end(text, hung, process.returncode, stderr_path.read_text(errors="replace"))
    return text


def _command(run: Run, machine: QemuMachine, counter: Counter) -> list[str]:
    command = [QEMU, "-machine", machine.machine]
    command += ["-display", "none", "-monitor", "none", "-serial", "none"]
    # Without a chardev of its own semihosting prints to stderr, among QEMU's messages.
    command += ["-chardev", "stdio,id=console"]
    command += ["-semihosting-config", "enable=on,target=native,chardev=console"]
    if counter.plugin is not None:
        begin = run.image.function("tidepool_count_begin").address
        end = run.image.function("tidepool_count_end").address
        # Commas separate the arguments; QEMU reads a doubled one as itself.
        library = str(counter.plugin).replace(",", ",,")
        command += ["-plugin", f"{library},begin={begin:#x},end={end:#x},out=counts.txt"]
    else:
        command += ["-icount", "shift=0"]
    return [*command, "-kernel", str(run.firmware.elf)]


def _counts(run: Run, machine: QemuMachine, counter: Counter) -> Counts:
    if run.firmware.trace:
        return Counts(None, counter.method, counter.reason)
    if counter.method is CountMethod.PLUGIN:
        pairs = read_counts(run.directory / "counts.txt")
        instructions, cycles = (tuple(pair[k] for pair in pairs) for k in (0, 1))
        return Counts(instructions, counter.method, counter.reason, cycles)
    ticks = np.fromfile(run.directory / "ticks.bin", dtype="<u4").tolist()
    if TICKS_WRAPPED in ticks:
        limit = instructions_of_ticks(2**24, machine.clock_hz)
        raise TidepoolError(
            f"an inference of {run.firmware.model} takes more than the {limit} instructions "
            f"that SysTick can count on {run.firmware.board.name}",
            hint=f"Make the plugin work, which has no such limit: {counter.reason}.",
        )
    counts = tuple(instructions_of_ticks(each, machine.clock_hz) for each in ticks)
    return Counts(counts, counter.method, counter.reason)

"""A real board: programs its flash through a debug probe, runs the firmware, reads its cycles.

The firmware is the one that the emulator runs: it reads and writes files of the host by
semihosting, which the tool at the other end of the probe serves.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from converters.errors import TidepoolError
from converters.progress import Progress, no_progress
from converters.tflite.graph import Array
from device_runners.cortex_m import flash_openocd, flash_pyocd
from device_runners.cortex_m.board import Board
from device_runners.cortex_m.counting import TICKS_WRAPPED
from device_runners.cortex_m.emulation_run import Run, prepare_run
from device_runners.cortex_m.emulator import DEFAULT_SAMPLE_SECONDS, TensorLayout
from device_runners.cortex_m.firmware import Firmware
from device_runners.cortex_m.probes import (
    Failure,
    FlashToolKind,
    choose_tool,
    failure,
    find_program,
    program_version,
    require_program,
)

_LOAD_SECONDS = 600
_QUIT_SECONDS = 10
_CYCCNT_BITS = 32
# What the firmware prints last: its summary, what it failed at, or a fault.
_LAST_LINE = re.compile(r"^(?:\{.*\}|(?:ERROR|FAULT) .*)\r?\n", re.MULTILINE)
_SUMMARY = re.compile(r"^\{.*\}\r?$", re.MULTILINE)
_LEFT_BY_A_RUN = ("outputs.bin", "ticks.bin", "console.txt", "log.txt")


@dataclass(frozen=True)
class FlashPlan:
    """The commands that flash a board and run what is there.

    Attributes:
        board: The board.
        tool: What talks to the probe.
        probe: The probe's ID; empty for the only one.
        directory: Where they run: ``inputs.bin`` has to lie there, ``outputs.bin`` will.
        load: Programs the flash.
        run: Runs the firmware and serves its semihosting.
    """

    board: Board
    tool: FlashToolKind
    probe: str
    directory: Path
    load: tuple[str, ...]
    run: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """The commands as a shell takes them."""
        return (
            f"cd {shlex.quote(str(self.directory))}",
            shlex.join(self.load),
            shlex.join(self.run),
        )


@dataclass(frozen=True, eq=False)
class BoardResult:
    """What one run on a board gave.

    Attributes:
        plan: How it was flashed.
        tool_version: The tool's version; empty when it doesn't tell.
        outputs: For each sample the outputs, in the layouts that were asked for.
        cycles: For each sample the cycles that the core took for the inference and its call, by
            DWT's CYCCNT where it counts, else by SysTick; None when they can't be trusted.
        cycles_note: Why ``cycles`` is None; empty otherwise.
        stack_bytes: The deepest that the inference's stack grew over all samples.
        arena_bytes: Bytes of the arena in use.
        console: What the firmware printed.
        seconds: Time on the host, flashing included.
    """

    plan: FlashPlan
    tool_version: str
    outputs: list[list[Array]]
    cycles: tuple[int, ...] | None
    cycles_note: str
    stack_bytes: int
    arena_bytes: int
    console: str = field(repr=False)
    seconds: float


@dataclass
class _Stopwatch:
    """Watches the samples being written, and keeps the longest time between two of them."""

    run: Run
    done: int = 0
    longest: float = 0.0
    last: float = field(default_factory=time.monotonic)

    def __call__(self) -> int:
        samples = self.run.samples_written()
        if samples > self.done:
            now = time.monotonic()
            self.longest = max(self.longest, now - self.last)
            self.done, self.last = samples, now
        return samples


def plan_flash(
    firmware: Firmware, tool: FlashToolKind | str | None = None, probe: str = ""
) -> FlashPlan:
    """The commands for a firmware and its board. Neither a probe nor the tool has to be there.

    Args:
        firmware: What ``build_firmware`` returned.
        tool: What is to talk to the probe; None for what is installed.
        probe: ID of the probe; empty for the only one.

    Raises:
        TidepoolError: The board can't be flashed, or not with this tool.
    """
    board = firmware.board
    kind = choose_tool(board, tool)
    program = str(find_program(kind) or kind)
    make = flash_pyocd.commands if kind is FlashToolKind.PYOCD else flash_openocd.commands
    load, run = make(program, board, firmware.elf, probe)
    return FlashPlan(board, kind, probe, firmware.elf.parent, load, run)


def write_inputs(plan: FlashPlan, firmware: Firmware, inputs: Sequence[Sequence[Array]]) -> None:
    """Puts the samples where the plan's commands want them, for somebody who runs these by hand.

    Raises:
        TidepoolError: There is no sample.
    """
    prepare_run(plan.directory, firmware, inputs, (), DEFAULT_SAMPLE_SECONDS)


def check_ready(plan: FlashPlan) -> None:
    """Looks for what the plan needs on this machine: the tool, the chip's support, the probe.

    OpenOCD can't list probes: with it a missing one shows when it connects.

    Raises:
        TidepoolError: Something is missing; the hint says how to get it.
    """
    program = require_program(plan.tool, plan.board)
    if plan.tool is FlashToolKind.PYOCD:
        flash_pyocd.check_ready(program, plan.board, plan.probe)


def flash_and_run(
    plan: FlashPlan,
    firmware: Firmware,
    inputs: Sequence[Sequence[Array]],
    outputs: Sequence[TensorLayout],
    *,
    timeout: float = DEFAULT_SAMPLE_SECONDS,
    progress: Progress = no_progress,
) -> BoardResult:
    """Programs a board's flash and runs the firmware on samples.

    The files stay in the plan's folder: ``inputs.bin``, ``outputs.bin``, ``ticks.bin``, the
    firmware's ``console.txt`` and the tool's ``log.txt``.

    Args:
        plan: What ``plan_flash`` returned for this firmware.
        firmware: What ``build_firmware`` returned; without a trace.
        inputs: For each sample an array for each input of the model, in the model's dtypes.
        outputs: The layout of each output of the model.
        timeout: Seconds that one sample may take before the firmware counts as hung.
        progress: Called with the samples done and the samples in total.

    Raises:
        TidepoolError: The tool is missing or fails, or the firmware faults, hangs or ends early.
    """
    program = require_program(plan.tool, plan.board)
    for name in _LEFT_BY_A_RUN:
        (plan.directory / name).unlink(missing_ok=True)
    run = prepare_run(plan.directory, firmware, inputs, outputs, timeout)
    _load(plan)
    stopwatch = _Stopwatch(run)
    console = _run(plan, run, stopwatch, progress)
    summary = run.summary(console)
    cycles, note = _cycles(run, stopwatch, plan.board)
    return BoardResult(
        plan=plan,
        tool_version=program_version(program),
        outputs=run.read_outputs(),
        cycles=cycles,
        cycles_note=note,
        stack_bytes=summary["stack_bytes"],
        arena_bytes=summary["arena_bytes"],
        console=console,
        seconds=time.monotonic() - run.started,
    )


def _load(plan: FlashPlan) -> None:
    """Programs the flash."""
    doing = f"{plan.tool} can't program the board {plan.board.name}"
    try:
        result = subprocess.run(
            plan.load,
            cwd=plan.directory,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_LOAD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TidepoolError(f"{doing}: {error}") from error
    if result.returncode != 0:
        raise _tool_error(plan, result.stdout, doing, plan.load)


def _run(plan: FlashPlan, run: Run, stopwatch: _Stopwatch, progress: Progress) -> str:
    """Runs the firmware to its end; returns its console, or raises what went wrong."""
    console_path, log_path = run.directory / "console.txt", run.directory / "log.txt"

    def console() -> str:
        return console_path.read_text(errors="replace")

    def ended() -> bool:
        return _LAST_LINE.search(console()) is not None

    with console_path.open("wb") as output, log_path.open("wb") as log:
        process = subprocess.Popen(
            plan.run,
            cwd=run.directory,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
        )
        try:
            # pyOCD doesn't end with the firmware. OpenOCD does, with its code.
            hung = run.wait(process, progress, stopwatch, ended)
            if hung is None and plan.tool is FlashToolKind.OPENOCD:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_QUIT_SECONDS)
        finally:
            _stop(process)
    text, log_text = console(), log_path.read_text(errors="replace")
    if hung is None and _LAST_LINE.search(text) is None:
        doing = f"{plan.tool} lost the firmware of {run.where} before its end"
        raise _tool_error(plan, log_text + text, doing, plan.run)
    # OpenOCD ends with the firmware's exit code; pyOCD doesn't know it.
    code = process.returncode if plan.tool is FlashToolKind.OPENOCD else None
    run.check_end(text, hung, 0 if _SUMMARY.search(text) else code, log_text)
    return text


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the tool, gently first: it lets go of the probe and of the core then."""
    for request in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_QUIT_SECONDS)
    process.wait()


def _environment() -> dict[str, str]:
    """The environment without what would send pyOCD to another folder."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYOCD_")}


def _tool_error(
    plan: FlashPlan, output: str, doing: str, command: tuple[str, ...]
) -> TidepoolError:
    known: Sequence[Failure] = flash_openocd.FAILURES
    if plan.tool is FlashToolKind.PYOCD:
        too_old = flash_pyocd.refused(output)
        if too_old is not None:
            return too_old
        known = flash_pyocd.FAILURES
    return failure(known, plan.board, output, doing, shlex.join(command))


def _cycles(run: Run, stopwatch: _Stopwatch, board: Board) -> tuple[tuple[int, ...] | None, str]:
    """The cycles of the samples, and why there are none."""
    ticks = np.fromfile(run.directory / "ticks.bin", dtype="<u4").tolist()
    if len(ticks) != run.samples:
        raise TidepoolError(f"{len(ticks)} counts of cycles for {run.samples} samples")
    # CYCCNT's wrap leaves no trace. At the highest clock it takes this long, at any other longer.
    wrap_seconds = 2**_CYCCNT_BITS / board.clock_hz
    if TICKS_WRAPPED in ticks:
        return None, "an inference took more cycles than SysTick's 24 bits hold; DWT doesn't count"
    if 0 in ticks:
        return None, "neither DWT's cycle counter nor SysTick counts on this core"
    if stopwatch.longest >= wrap_seconds:
        return None, (
            f"a sample took {stopwatch.longest:.0f} s: CYCCNT's 32 bits may have wrapped, which "
            f"takes {wrap_seconds:.0f} s at {board.clock_hz / 1e6:g} MHz"
        )
    return tuple(ticks), ""

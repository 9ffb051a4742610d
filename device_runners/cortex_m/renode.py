"""Renode: runs firmware of any board, on a platform that is made from its memory map.

Renode has no exit code for us and doesn't end with the firmware: its log says when and how the
firmware ended, and then it is told to quit.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from converters.errors import TidepoolError
from converters.progress import Progress, no_progress
from converters.tflite.graph import Array
from device_runners.cortex_m.counting import CountMethod
from device_runners.cortex_m.emulation_run import Counts, Run, run_in_folder
from device_runners.cortex_m.emulator import (
    DEFAULT_SAMPLE_SECONDS,
    EmulationResult,
    EmulatorKind,
    TensorLayout,
)
from device_runners.cortex_m.firmware import Firmware
from device_runners.cortex_m.renode_files import (
    BESIDE,
    PLATFORM,
    SCRIPT,
    renode_platform,
    renode_script,
)
from device_runners.cortex_m.tools import RENODE, require_tools

# The monitor on stdin, without a window; a port would be opened otherwise.
_OPTIONS = ("--console", "--disable-gui", "--plain")
_QUIT_SECONDS = 10

_COUNT = re.compile(r"tidepool (?P<marker>begin|end) (?P<executed>\d+)\s*$", re.MULTILINE)
# "Application exit": what SYS_EXIT_EXTENDED is called with.
_EXIT = re.compile(r"Program exited with reason .*\(0x20026\) and return code (?P<code>-?\d+)")
_REFUSED = re.compile(r"There was an error executing command.*(?:\n.*){0,3}")
_HANDLER = "SemihostingHandler"
COUNT_NOTE = "counted by Renode, read at the same two markers; not compared with the plugin's count"


@dataclass(frozen=True)
class Renode:
    """``renode``, with a limit of time.

    Attributes:
        sample_seconds: How long one sample may take on the host; then the firmware has hung. The
            first one includes Renode's own start.
    """

    sample_seconds: float = DEFAULT_SAMPLE_SECONDS

    def run(
        self,
        firmware: Firmware,
        inputs: Sequence[Sequence[Array]],
        outputs: Sequence[TensorLayout],
        progress: Progress = no_progress,
    ) -> EmulationResult:
        """Runs a firmware on samples: see ``Emulator.run``."""
        require_tools([RENODE])
        with run_in_folder(firmware, inputs, outputs, self.sample_seconds) as run:
            if re.search(r"\s", str(run.directory)):
                raise TidepoolError(
                    f"Renode's scripts can't name the folder {run.directory}: it has a space",
                    hint="Set TMPDIR to a folder without one.",
                )
            board = firmware.board
            (run.directory / PLATFORM).write_text(renode_platform(board))
            (run.directory / SCRIPT).write_text(renode_script(board, BESIDE))
            shutil.copyfile(firmware.elf, run.directory / "firmware.elf")
            console, log = _execute(run, progress)
            counts = None if firmware.trace else _counts(log)
            return run.result(
                EmulatorKind.RENODE,
                board.name,
                console,
                Counts(counts, CountMethod.RENODE, COUNT_NOTE),
            )


def _execute(run: Run, progress: Progress) -> tuple[str, str]:
    """Runs Renode until the firmware ends; returns its console and Renode's log."""
    log_path = run.directory / "log.txt"

    def log() -> str:
        return log_path.read_text(errors="replace")

    def samples_done() -> int:
        return sum(match["marker"] == "end" for match in _COUNT.finditer(log()))

    def ended() -> bool:
        return bool(_EXIT.search(log()) or _REFUSED.search(log()))

    with log_path.open("wb") as output:
        process = subprocess.Popen(
            [RENODE, *_OPTIONS, str(run.directory / SCRIPT)],
            cwd=run.directory,
            # Held open: at the end of its input the monitor would quit.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            hung = run.wait(process, progress, samples_done, ended)
        finally:
            _stop(process)
    text = log()
    _check_script(run, text)
    console_path = run.directory / "console.txt"
    console = console_path.read_text(errors="replace") if console_path.exists() else ""
    exit_line = _EXIT.search(text)
    run.check_end(console, hung, int(exit_line["code"]) if exit_line else None, _problems(text))
    return console, text


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks Renode to quit, and kills it when it doesn't."""
    try:
        # SIGTERM: Renode closes its files and ends.
        process.terminate()
        process.communicate(timeout=_QUIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _check_script(run: Run, log: str) -> None:
    refused = _REFUSED.search(log)
    if refused is None:
        return
    too_old = _HANDLER in refused[0]
    raise TidepoolError(
        f"Renode refuses the script of {run.where}: {refused[0].strip()}",
        hint="Semihosting with files came after release 1.16.1: use a newer build."
        if too_old
        else "'renode --version' says which it is; the script is for builds after release 1.16.1.",
    )


def _problems(log: str) -> str:
    """The lines of the log that warn or report an error; all when there is none."""
    lines = [line for line in log.splitlines() if "[WARNING]" in line or "[ERROR]" in line]
    return "\n".join(lines) or log


def _counts(log: str) -> tuple[int, ...]:
    """Instructions between the markers, from Renode's totals at the first instruction of each."""
    executed: dict[str, list[int]] = {"begin": [], "end": []}
    for match in _COUNT.finditer(log):
        executed[match["marker"]].append(int(match["executed"]))
    # The `bx lr` of tidepool_count_begin() isn't the inference's.
    return tuple(
        end - begin - 1 for begin, end in zip(executed["begin"], executed["end"], strict=False)
    )

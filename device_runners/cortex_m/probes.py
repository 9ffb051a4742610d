"""The programs that talk to a debug probe: which there are, how they fail, and the next step then.

Both flash a board and serve its semihosting: pyOCD (from PyPI) and OpenOCD (from the system).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from converters.errors import TidepoolError
from device_runners.cortex_m.board import Board, FlashTool, all_boards

_SECONDS = 60
_DETAIL_LINES = 6


class FlashToolKind(StrEnum):
    """The programs that can flash a board and serve its semihosting."""

    PYOCD = "pyocd"
    OPENOCD = "openocd"


INSTALL_HINTS = {
    FlashToolKind.PYOCD: "pip install 'tidepool[flash]'",
    FlashToolKind.OPENOCD: "sudo apt-get install openocd",
}

NO_PROBE_HINT = (
    "Connect the board's USB socket of its debug probe (not the one of the chip) and look for it: "
    "pyocd list, or lsusb."
)


@dataclass(frozen=True)
class Failure:
    """A way in which a tool fails.

    Attributes:
        pattern: What its output has then; the group ``what`` goes into the message.
        message: What is wrong, with ``{board}`` and ``{what}``.
        hint: The next step, with the same.
    """

    pattern: re.Pattern[str]
    message: str
    hint: str


def flash_tool_of(board: Board) -> FlashTool:
    """How a board is flashed.

    Raises:
        TidepoolError: It can't be: it exists on an emulator only.
    """
    if board.flash_tool is None:
        names = ", ".join(each.name for each in all_boards() if each.flash_tool)
        raise TidepoolError(
            f"the board {board.name} can't be flashed: no tool is known for it",
            hint=f"Run it on the emulator: tidepool emulate. Boards that can be flashed: {names}.",
        )
    return board.flash_tool


def choose_tool(board: Board, wanted: FlashToolKind | str | None) -> FlashToolKind:
    """The tool for a board: the one that is wanted, else the one that is installed.

    pyOCD goes first where both would do, and where neither is installed.

    Raises:
        TidepoolError: The board can't be flashed, or not with the tool that is wanted.
    """
    description = flash_tool_of(board)
    if wanted is not None:
        kind = FlashToolKind(wanted)
        if kind is FlashToolKind.OPENOCD and not description.openocd:
            raise TidepoolError(
                f"OpenOCD 0.12 has no configuration for the board {board.name}",
                hint="Use --tool pyocd.",
            )
        return kind
    openocd_only = find_program(FlashToolKind.PYOCD) is None and find_program(FlashToolKind.OPENOCD)
    return FlashToolKind.OPENOCD if openocd_only and description.openocd else FlashToolKind.PYOCD


def find_program(kind: FlashToolKind) -> Path | None:
    """Where a tool is: on the PATH, or beside the Python that runs this; None when it isn't."""
    found = shutil.which(kind)
    if found is not None:
        return Path(found)
    # The environment's folder isn't on the PATH of a command that is called by its full name.
    beside = Path(sys.executable).parent / kind
    return beside if beside.is_file() else None


def require_program(kind: FlashToolKind, board: Board) -> Path:
    """Where a tool is.

    Raises:
        TidepoolError: It isn't installed.
    """
    found = find_program(kind)
    if found is None:
        hints = [INSTALL_HINTS[kind]]
        if kind is FlashToolKind.PYOCD and flash_tool_of(board).openocd:
            hints.append(f"or {INSTALL_HINTS[FlashToolKind.OPENOCD]}")
        raise TidepoolError(f"{kind} is not installed", hint=" ".join(hints))
    return found


def program_version(program: Path) -> str:
    """The version that a tool reports of itself ("0.46.0"); empty when it doesn't."""
    try:
        # OpenOCD answers on standard error.
        answer = query([str(program), "--version"])
    except TidepoolError:
        return ""
    match = re.search(r"\d+(?:\.\d+)+", answer.stdout + answer.stderr)
    return match[0] if match else ""


def query(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Asks a tool for something that takes no board.

    Raises:
        TidepoolError: It can't be started, or doesn't answer.
    """
    try:
        return subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TidepoolError(f"{Path(command[0]).name} doesn't answer: {error}") from error


def failure(
    known: Sequence[Failure], board: Board, output: str, doing: str, command: str
) -> TidepoolError:
    """The error for a tool that failed: the first known one that its output has.

    Args:
        known: What to look for, in this order.
        board: The board.
        output: All that the tool printed.
        doing: What it was doing ("pyocd can't program the board"), for a failure that isn't known.
        command: The command line, to repeat.
    """
    for each in known:
        match = each.pattern.search(output)
        if match is not None:
            words = {"board": board.name, "what": match.groupdict().get("what", "")}
            return TidepoolError(each.message.format(**words), hint=each.hint.format(**words))
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    details = "\n".join(lines[-_DETAIL_LINES:]) or "it printed nothing"
    return TidepoolError(f"{doing}:\n{details}", hint=f"For the whole output repeat: {command}")

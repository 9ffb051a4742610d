"""pyOCD: its commands, what it has to have before they can work, and how they fail.

``pyocd run`` (from 0.42 on) serves semihosting: it opens files of the host relative to its working
folder and prints to its standard output. It doesn't serve SYS_EXIT_EXTENDED, so it neither ends
with the firmware nor knows its exit code; ``flash.py`` sees the firmware's last line and ends it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from device_runners.cortex_m.board import Board
from device_runners.cortex_m.probes import NO_PROBE_HINT, Failure, flash_tool_of, query

_UDEV_HINT = (
    "Install pyOCD's udev rules (https://github.com/pyocd/pyOCD/tree/master/udev), then plug the "
    "probe in again."
)
_PERMISSION = Failure(
    re.compile(r"udev rule|insufficient permissions|Access denied", re.IGNORECASE),
    "the debug probe is there, but this user may not open it",
    _UDEV_HINT,
)
FAILURES = (
    _PERMISSION,
    Failure(
        re.compile(r"matches unique ID '(?P<what>[^']*)'"),
        "not exactly one debug probe has the ID '{what}'",
        "pyocd list shows the IDs of the probes that are connected.",
    ),
    Failure(
        re.compile(r"No connected debug probes?|No target device available|No probe selected"),
        "no debug probe is connected",
        NO_PROBE_HINT,
    ),
    Failure(
        re.compile(r"Target type (?P<what>\S+) not recognized"),
        "pyOCD has no support for {what}, the chip of the board {board}, yet",
        "It comes in a CMSIS pack: pyocd pack install {what}",
    ),
    Failure(
        re.compile(r"APPROTECT|readout protection|flash.*locked|is locked", re.IGNORECASE),
        "the chip of the board {board} is protected against debuggers",
        "Erasing all of it removes the protection: pyocd erase --chip --target <target>",
    ),
    Failure(
        re.compile(
            r"No ACK|Unexpected ACK|No cores were discovered|Error (?:while )?connecting|"
            r"STLink error.*(?:connect|target voltage)|Transfer fault|DP.*not respond",
            re.IGNORECASE,
        ),
        "the debug probe doesn't reach the chip of the board {board}",
        "Look at the board's power and jumpers, and whether it is this board: pyocd list.",
    ),
)
_NO_RUN = re.compile(r"invalid choice: '?run'?|unrecognized arguments")


def commands(
    program: str, board: Board, elf: Path, probe: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The command that programs the flash, and the one that runs what is there.

    Args:
        program: pyOCD's executable.
        board: The board.
        elf: The firmware.
        probe: ID of the probe, or a part of it; empty for the only one.
    """
    target = flash_tool_of(board).pyocd_target
    common = ["--target", target, "--no-wait", "--no-config", "--project", "."]
    if probe:
        common += ["--probe", probe]
    # Halted in between: without a debugger a firmware that calls the host runs into a fault.
    halted = ["-O", "resume_on_disconnect=false"]
    load = [program, "load", *common, *halted, "--no-reset", str(elf)]
    # Its cache refuses a file's data that crosses the border of two memories of the chip.
    served = ["-O", "semihost_console_type=console", "-O", "cache.enable_memory=false"]
    run = [program, "run", *common, *halted, *served]
    return tuple(load), tuple(run)


def check_ready(program: Path, board: Board, probe: str) -> None:
    """Looks for the probe and for the support of the chip.

    Args:
        program: pyOCD's executable.
        board: The board.
        probe: The probe that was asked for; then only its connection shows whether it is there.

    Raises:
        TidepoolError: No probe is connected, several are and none was asked for, this user may not
            open it, or the chip's pack is missing.
    """
    _check_target(program, board)
    if probe:
        return
    content, output = _json(program, "--probes")
    probes = content.get("boards", [])
    if not probes:
        if _PERMISSION.pattern.search(output):
            raise TidepoolError(_PERMISSION.message, hint=_PERMISSION.hint)
        raise TidepoolError("no debug probe is connected", hint=NO_PROBE_HINT)
    if len(probes) > 1:
        listed = ", ".join(f"{each.get('unique_id')} ({each.get('info')})" for each in probes)
        raise TidepoolError(
            f"{len(probes)} debug probes are connected: {listed}",
            hint="Say which one: --probe ID; a part of the ID will do.",
        )


def refused(output: str) -> TidepoolError | None:
    """The error of a pyOCD that doesn't know the command; None when that isn't what is wrong."""
    if _NO_RUN.search(output) is None:
        return None
    return TidepoolError(
        "this pyocd is too old: 'pyocd run' came with 0.42",
        hint="pip install --upgrade 'pyocd>=0.42'",
    )


def _check_target(program: Path, board: Board) -> None:
    tool = flash_tool_of(board)
    if tool.pyocd_builtin:
        return
    content, _ = _json(program, "--targets")
    names = {each.get("name") for each in content.get("targets", [])}
    if tool.pyocd_target not in names:
        raise TidepoolError(
            f"pyOCD has no support for {tool.pyocd_target}, the chip of the board {board.name}, "
            "yet",
            hint=f"It comes in a CMSIS pack: pyocd pack install {tool.pyocd_target}",
        )


def _json(program: Path, what: str) -> tuple[dict[str, Any], str]:
    """What ``pyocd json`` answers, and what it printed beside that."""
    answer = query([str(program), "json", what, "--no-config"])
    try:
        content = json.loads(answer.stdout)
    except json.JSONDecodeError:
        content = None
    if not isinstance(content, dict) or content.get("status", 1) != 0:
        detail = (answer.stderr or answer.stdout).strip().splitlines()[-1:]
        raise TidepoolError(
            f"pyocd can't list its {what.removeprefix('--')}: {' '.join(detail) or 'no answer'}",
            hint=f"Repeat: {program} json {what}",
        )
    return content, answer.stderr

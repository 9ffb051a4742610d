"""OpenOCD: its commands, and how they fail.

Its semihosting opens files of the host relative to its working folder and prints to its standard
output. With no debugger connected SYS_EXIT_EXTENDED ends OpenOCD with the firmware's exit code.
"""

from __future__ import annotations

import re
from pathlib import Path

from converters.errors import TidepoolError
from device_runners.cortex_m.board import Board
from device_runners.cortex_m.probes import NO_PROBE_HINT, Failure, flash_tool_of

# No server: nobody is to connect, and the ports may belong to somebody else's OpenOCD.
_NO_SERVERS = ("gdb_port disabled", "tcl_port disabled", "telnet_port disabled")

FAILURES = (
    Failure(
        re.compile(r"LIBUSB_ERROR_ACCESS|Permission denied|insufficient permissions"),
        "the debug probe is there, but this user may not open it",
        "Install OpenOCD's udev rules (60-openocd.rules; Debian's package brings them), be in the "
        "group plugdev, and plug the probe in again.",
    ),
    Failure(
        re.compile(r"Can't find (?P<what>\S+)"),
        "this OpenOCD has no {what}, which the board {board} needs",
        "Use OpenOCD 0.12 or newer, or --tool pyocd.",
    ),
    Failure(
        re.compile(
            r"Error: open failed|unable to find a matching CMSIS-DAP device|no device found|"
            r"unable to open ftdi device|No J-Link device found|Cannot connect to J-Link"
        ),
        "no debug probe is connected, or not the one that was asked for",
        NO_PROBE_HINT,
    ),
    Failure(
        re.compile(r"protected|readout protection|APPROTECT|is locked", re.IGNORECASE),
        "the chip of the board {board} is protected against debuggers",
        "Erasing all of it removes the protection: see OpenOCD's manual for this chip.",
    ),
    Failure(
        re.compile(
            r"unable to connect to the target|Error connecting DP|target voltage may be too low|"
            r"Target not examined|Could not find MEM-AP"
        ),
        "the debug probe doesn't reach the chip of the board {board}",
        "Look at the board's power and jumpers, and whether it is this board.",
    ),
)


def commands(
    program: str, board: Board, elf: Path, probe: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The command that programs the flash and verifies it, and the one that runs what is there.

    Args:
        program: OpenOCD's executable.
        board: The board.
        elf: The firmware.
        probe: Serial number of the probe; empty for the only one.

    Raises:
        TidepoolError: A path or an ID that can't be named in OpenOCD's language.
    """
    options: list[str] = []
    for file in flash_tool_of(board).openocd:
        options += ["-f", file]
    words = list(_NO_SERVERS)
    if probe:
        words.append(f"adapter serial {_word(probe)}")
    load = [f"program {_word(str(elf))} verify", "shutdown"]
    run = ["init", "reset halt", "arm semihosting enable", "resume"]
    return (
        (program, *options, *_script([*words, *load])),
        (program, *options, *_script([*words, *run])),
    )


def _script(commands: list[str]) -> list[str]:
    return [part for command in commands for part in ("-c", command)]


def _word(text: str) -> str:
    """One word of Tcl: in braces nothing but braces and the backslash means anything."""
    if re.search(r"[{}\\]", text):
        raise TidepoolError(
            f"OpenOCD can't be told of {text!r}: it has a brace or a backslash",
            hint="Use another folder (--build-directory).",
        )
    return f"{{{text}}}"

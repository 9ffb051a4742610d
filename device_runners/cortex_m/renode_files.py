"""Renode's description of a board and the script that runs a firmware on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from device_runners.cortex_m.board import Board

_TEMPLATES = Path(__file__).parent / "templates"

PLATFORM = "renode.repl"
SCRIPT = "renode.resc"


@dataclass(frozen=True)
class ScriptPaths:
    """Where the script finds things, as Renode writes paths (``$ORIGIN`` is the script's folder).

    Attributes:
        elf: The firmware.
        folder: Where the firmware's files are: ``inputs.bin`` before, ``outputs.bin`` after.
        console: The file for what the firmware prints.
    """

    elf: str
    folder: str
    console: str


BESIDE = ScriptPaths("$ORIGIN/firmware.elf", "$ORIGIN", "$ORIGIN/console.txt")
"""Everything lies beside the script."""

IN_PROJECT = ScriptPaths(
    "$ORIGIN/../../build/firmware.elf", "$ORIGIN/../../build", "$ORIGIN/../../build/console.txt"
)
"""The script lies in ``boards/<board>/`` of the CMake project, which was built in ``build/``."""


def renode_platform(board: Board) -> str:
    """The platform (``.repl``): the core, its interrupt controller, all memory, semihosting."""
    return _render("renode.repl.j2", board)


def renode_script(board: Board, paths: ScriptPaths) -> str:
    """The script (``.resc``): loads platform and firmware, counts instructions, starts."""
    return _render("renode.resc.j2", board, paths=paths, platform=PLATFORM)


def _render(template: str, board: Board, **variables: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(board=board, **variables)

"""The boards that firmware is built for: one TOML file each in ``boards/``."""

from __future__ import annotations

import difflib
import tomllib
from functools import cache
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from converters.errors import TidepoolError

BOARDS_DIRECTORY = Path(__file__).parent / "boards"

CORES = MappingProxyType(
    {
        "cortex-m3": "mps2-an385",
        "cortex-m4": "mps2-an386",
        "cortex-m7": "mps2-an500",
        "cortex-m33": "mps2-an505",
        "cortex-m55": "mps3-an547",
    }
)
"""The board that stands for a core when only the core is named."""


class MemoryRegion(BaseModel):
    """A range of addresses that the linker may fill.

    Attributes:
        origin: First address.
        length: Size in bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: int = Field(ge=0, lt=2**32)
    length: int = Field(gt=0, le=2**32)


class Memory(BaseModel):
    """Where the vector table, the code with its constants, and all variables go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vectors: MemoryRegion
    flash: MemoryRegion
    ram: MemoryRegion


class Board(BaseModel):
    """One board.

    Attributes:
        name: Its name, which is also the stem of its TOML file.
        description: One line for people.
        core: Its core (``cortex-m4``).
        qemu_machine: The machine of ``qemu-system-arm`` that emulates it.
        clock_hz: Clock of the core and of SysTick in Hz.
        gcc_flags: What selects core, FPU and float ABI.
        tflm_target_arch: ``TARGET_ARCH`` of TFLM's Makefile for a library that fits.
        memory: The memory map. The core boots from the vector table at ``memory.vectors.origin``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    core: str
    qemu_machine: str
    clock_hz: int = Field(gt=0)
    gcc_flags: tuple[str, ...]
    tflm_target_arch: str
    memory: Memory


@cache
def all_boards() -> tuple[Board, ...]:
    """Every known board, in the order of their names."""
    return tuple(read_board(path) for path in sorted(BOARDS_DIRECTORY.glob("*.toml")))


def read_board(path: Path) -> Board:
    """Reads one board's TOML file.

    Raises:
        TidepoolError: The file isn't TOML, or a key is missing, unknown or out of range.
    """
    try:
        board = Board.model_validate(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TidepoolError(f"{path}: the board's file can't be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise TidepoolError(f"{path}: {key}: {first['msg']}") from error
    if board.name != path.stem:
        raise TidepoolError(
            f"{path}: the board is called {board.name!r}", hint="Name the file after the board."
        )
    return board


def find_board(name: str) -> Board:
    """The board of this name, or the default board of the core of this name.

    Raises:
        TidepoolError: Neither a core nor a board is called so.
    """
    by_name = {board.name: board for board in all_boards()}
    board = by_name.get(CORES.get(name, name))
    if board is not None:
        return board
    known = [*CORES, *by_name]
    nearest = difflib.get_close_matches(name, known, n=1)
    raise TidepoolError(
        f"unknown core or board {name!r}",
        hint=(f"Did you mean {nearest[0]}? " if nearest else "")
        + f"Cores: {', '.join(CORES)}. Boards: {', '.join(by_name)}.",
    )

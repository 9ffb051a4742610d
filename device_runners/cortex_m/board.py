"""The boards that firmware is built for: one TOML file each in ``boards/``."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from converters.errors import TidepoolError

BOARDS_DIRECTORY = Path(__file__).parent / "boards"

CORES = MappingProxyType(
    {
        "cortex-m0plus": "mps2-an385",
        "cortex-m3": "mps2-an385",
        "cortex-m4": "mps2-an386",
        "cortex-m7": "mps2-an500",
        "cortex-m33": "mps2-an505",
        "cortex-m55": "mps3-an547",
    }
)
"""The board that stands for a core when only the core is named."""

_OF_ANOTHER_CORE = MappingProxyType(
    {"cortex-m0plus": ("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft")}
)
"""Compiler flags of cores whose board has a larger one, which has all of their instructions."""


class Fpu(StrEnum):
    """What the core's floating-point unit computes in hardware."""

    NONE = "none"
    SINGLE = "single"
    DOUBLE = "double"


class Mve(StrEnum):
    """What the core's vector extension (Helium) computes."""

    NONE = "none"
    INTEGER = "integer"
    FLOAT = "float"
    """Integers and floating point."""


class RegionKind(StrEnum):
    """What a region of memory is made of."""

    FLASH = "flash"
    """Not volatile (flash or MRAM), or what an FPGA image has in its place."""
    SRAM = "sram"
    TCM = "tcm"
    """RAM coupled to the core."""
    EXTERNAL = "external"
    """RAM on the board, outside of the chip."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MemoryRegion(_Table):
    """A range of addresses that the linker may fill.

    Attributes:
        origin: First address.
        length: Size in bytes.
    """

    origin: int = Field(ge=0, lt=2**32)
    length: int = Field(gt=0, le=2**32)

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.origin + self.length

    def holds(self, other: MemoryRegion) -> bool:
        """Whether another range lies within this one."""
        return self.origin <= other.origin and other.end <= self.end


class Region(MemoryRegion):
    """A memory that the board has.

    Attributes:
        name: What the vendor calls it.
        kind: What it is.
        ready: Whether a program can use it from reset on. A RAM whose clock, power or controller
            has to be set up first isn't: the firmware's start-up code does none of that.
    """

    name: str
    kind: RegionKind
    ready: bool = True

    @property
    def is_ram(self) -> bool:
        """Whether a program can use it for variables from reset on."""
        return self.ready and self.kind is not RegionKind.FLASH


class Memory(_Table):
    """Where the vector table, the code with its constants, and all variables go."""

    vectors: MemoryRegion
    flash: MemoryRegion
    ram: MemoryRegion


class QemuMachine(_Table):
    """The machine of ``qemu-system-arm`` that runs the board's firmware.

    Attributes:
        machine: Its name.
        clock_hz: Clock of its SysTick, for the count of instructions without the plugin.
    """

    machine: str
    clock_hz: int = Field(gt=0)


class FlashTool(_Table):
    """How the flash is programmed.

    Attributes:
        pyocd_target: pyOCD's name of the target.
        pyocd_builtin: Whether pyOCD brings the target itself; otherwise a CMSIS pack does
            (``pyocd pack install <target>``).
        openocd: Configuration files of OpenOCD, in the order of its ``-f`` options; none where
            OpenOCD 0.12 has no support for the chip.
    """

    pyocd_target: str
    pyocd_builtin: bool
    openocd: tuple[str, ...]


class Board(_Table):
    """One board.

    Attributes:
        name: Its name, which is also the stem of its TOML file.
        description: One line for people.
        core: Its core (``cortex-m4``).
        fpu: Its floating-point unit.
        dsp: Whether the core has the DSP extension.
        mve: Its vector extension.
        clock_hz: Highest clock of the core in Hz. The start-up code leaves the clock as it is
            after reset, which is slower on most boards.
        gcc_flags: What selects core, FPU and float ABI.
        tflm_target_arch: ``TARGET_ARCH`` of TFLM's Makefile for a library that fits.
        memory: Where the linker puts the firmware. The core, or the boot loader in front of the
            firmware, starts it from the vector table at ``memory.vectors.origin``.
        regions: Every memory of the board that code or variables can lie in.
        sources: The vendor's documents that state the figures.
        checked_with: What the figures or names were compared with when the file was written.
        note: What one has to know to use it; may be empty.
        boot_words: Words that the boot ROM wants behind the vector table; mostly none.
        flash_tool: How to program it; None for a board that exists on an emulator only.
        qemu: QEMU's machine for it, if it has one.
        renode_platform: The description that Renode brings along with the peripherals of this
            board or its chip, if it has one. The firmware needs none of them, so that the
            platform that is generated here does without.
    """

    name: str
    description: str
    core: str
    fpu: Fpu
    dsp: bool
    mve: Mve
    clock_hz: int = Field(gt=0)
    gcc_flags: tuple[str, ...]
    tflm_target_arch: str
    memory: Memory
    regions: tuple[Region, ...] = Field(min_length=2)
    sources: tuple[str, ...] = Field(min_length=1)
    checked_with: tuple[str, ...] = Field(min_length=1)
    note: str = ""
    boot_words: tuple[int, ...] = ()
    flash_tool: FlashTool | None = None
    qemu: QemuMachine | None = None
    renode_platform: str | None = None

    @model_validator(mode="after")
    def _memory_exists(self) -> Self:
        for lower, upper in itertools.pairwise(sorted(self.regions, key=lambda each: each.origin)):
            if upper.origin < lower.end:
                raise ValueError(f"the regions {lower.name} and {upper.name} overlap")
        for name in ("vectors", "flash", "ram"):
            part: MemoryRegion = getattr(self.memory, name)
            if not any(run.holds(part) for run in _contiguous(self.regions)):
                raise ValueError(f"memory.{name} lies in no region that is ready after reset")
        return self

    @property
    def flash_bytes(self) -> int:
        """Flash for the vector table, the code and the constants."""
        flash, vectors = self.memory.flash, self.memory.vectors
        return flash.length + (vectors.length if vectors.end == flash.origin else 0)

    @property
    def ram_bytes(self) -> int:
        """RAM for the arena, the variables and the stack: the largest piece without a gap."""
        return self.memory.ram.length

    @property
    def ram_regions(self) -> tuple[str, ...]:
        """The names of the regions that ``memory.ram`` lies in."""
        ram = self.memory.ram
        return tuple(
            each.name for each in self.regions if each.origin < ram.end and ram.origin < each.end
        )


def _contiguous(regions: Sequence[Region]) -> list[MemoryRegion]:
    """The regions that are ready after reset, neighbours of flash or of RAM joined."""
    runs: list[tuple[bool, MemoryRegion]] = []
    for each in sorted(regions, key=lambda region: region.origin):
        is_flash = each.kind is RegionKind.FLASH
        if not each.ready:
            continue
        if runs and runs[-1][0] == is_flash and runs[-1][1].end == each.origin:
            before = runs[-1][1]
            joined = MemoryRegion(origin=before.origin, length=before.length + each.length)
            runs[-1] = (is_flash, joined)
        else:
            runs.append((is_flash, MemoryRegion(origin=each.origin, length=each.length)))
    return [run for _, run in runs]


def largest_ram(regions: Sequence[Region]) -> MemoryRegion:
    """The largest range of RAM without a gap that is ready after reset."""
    rams = _contiguous([each for each in regions if each.is_ram])
    return max(rams, key=lambda run: run.length)


@cache
def all_boards() -> tuple[Board, ...]:
    """Every known board, in the order of their names."""
    return tuple(read_board(path) for path in sorted(BOARDS_DIRECTORY.glob("*.toml")))


def read_board(path: Path) -> Board:
    """Reads one board's TOML file.

    Raises:
        TidepoolError: The file isn't TOML, a key is missing, unknown or out of range, regions
            overlap, or the firmware's memory lies outside of them.
    """
    try:
        board = Board.model_validate(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TidepoolError(f"{path}: the board's file can't be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = [".".join(str(part) for part in first["loc"])] if first["loc"] else []
        message = first["msg"].removeprefix("Value error, ")
        raise TidepoolError(": ".join([str(path), *where, message])) from error
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
        return _with_code_for(name, board) if name in _OF_ANOTHER_CORE else board
    known = [*CORES, *by_name]
    nearest = difflib.get_close_matches(name, known, n=1)
    raise TidepoolError(
        f"unknown core or board {name!r}",
        hint=(f"Did you mean {nearest[0]}? " if nearest else "")
        + f"Cores: {', '.join(CORES)}. Boards: {', '.join(by_name)}.",
    )


def _with_code_for(core: str, board: Board) -> Board:
    """The board of a larger core, with code for this one."""
    return board.model_copy(
        update={
            "name": f"{board.name}-{core}",
            "description": f"{board.description}, with code for a {core}",
            "core": core,
            "gcc_flags": _OF_ANOTHER_CORE[core],
            "tflm_target_arch": core,
        }
    )


def emulated_board(board: Board) -> Board:
    """The board that QEMU runs in its place: itself, or the one that stands for its core.

    The same core executes the same code there; only the memory map differs, and the precision of
    the FPU, which int8 models don't use.
    """
    return board if board.qemu is not None else find_board(board.core)

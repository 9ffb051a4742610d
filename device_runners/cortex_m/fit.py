"""Does a model fit a board: what a link of it takes, against what the board has.

Measured, not estimated: the firmware is linked with the flags of the board's core and the linker's
map tells what belongs to the model. One link serves all boards with the same flags.

What counts is what a product would link. In flash: the model's weights and tables, its code and
kernels (or TFLM's interpreter, kernels and flatbuffer), what these pull in of the C library, and
initial values. In RAM: the arena, variables, and a reserve for the stack. What doesn't: vector
table, start-up code and the harness around the model (samples come from the host's files), and
whatever else the product does.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from converters.errors import TidepoolError
from converters.progress import Progress, no_progress
from device_runners.cortex_m.board import Board, Memory, MemoryRegion
from device_runners.cortex_m.firmware import (
    RuntimeKind,
    TflmOptions,
    build_firmware,
)
from device_runners.cortex_m.sizes import measure_sizes

STACK_RESERVE_BYTES = 2048
"""RAM reserved for the stack of an inference, in bytes. The emulator measures what it really takes:
72 to 760 for the generated code of the MLPerf Tiny models, 1,332 for TFLM's interpreter."""

FIT_HEADINGS = ("board", "core", "flash used", "of", "", "RAM used", "of", "", "in", "verdict")
"""Headings of ``FitReport.rows``."""

# Room for any model: what doesn't fit a board has to be measured, too.
_ROOMY = Memory(
    vectors=MemoryRegion(origin=0x00000000, length=0x400),
    flash=MemoryRegion(origin=0x00000400, length=0x0FFFFC00),
    ram=MemoryRegion(origin=0x20000000, length=0x10000000),
)

_Link = tuple[tuple[str, ...], Path]
"""What decides on a footprint: the compiler's flags and the folder of the sources."""


@dataclass(frozen=True)
class Footprint:
    """What a model takes on a core, in bytes.

    Attributes:
        text_bytes: Code of the model, its kernels and its runtime.
        rodata_bytes: Weights, tables, the flatbuffer.
        data_bytes: Initialized variables: in flash and in RAM.
        bss_bytes: Zeroed variables, without the arena.
        arena_bytes: The arena.
        stack_bytes: The reserve for the stack.
    """

    text_bytes: int
    rodata_bytes: int
    data_bytes: int
    bss_bytes: int
    arena_bytes: int
    stack_bytes: int

    @property
    def flash_bytes(self) -> int:
        return self.text_bytes + self.rodata_bytes + self.data_bytes

    @property
    def ram_bytes(self) -> int:
        return self.arena_bytes + self.data_bytes + self.bss_bytes + self.stack_bytes


@dataclass(frozen=True)
class BoardFit:
    """How a model fits one board.

    Attributes:
        board: The board.
        footprint: What the model takes there; None when it couldn't be linked.
        problem: Why it couldn't; empty when it could.
    """

    board: Board
    footprint: Footprint | None
    problem: str = ""

    @property
    def flash_left(self) -> int | None:
        """Bytes of flash that stay free; negative: that many are missing."""
        return (
            None if self.footprint is None else self.board.flash_bytes - self.footprint.flash_bytes
        )

    @property
    def ram_left(self) -> int | None:
        """Bytes of the largest piece of RAM that stay free; negative: that many are missing."""
        return None if self.footprint is None else self.board.ram_bytes - self.footprint.ram_bytes

    @property
    def fits(self) -> bool:
        return (
            self.flash_left is not None
            and self.ram_left is not None
            and min(self.flash_left, self.ram_left) >= 0
        )

    @property
    def verdict(self) -> str:
        """``fits``, or what is missing and how much of it."""
        if self.flash_left is None or self.ram_left is None:
            return f"not measured: {self.problem}"
        missing = {"flash": -self.flash_left, "RAM": -self.ram_left}
        parts = [f"{size:,} bytes of {name}" for name, size in missing.items() if size > 0]
        return "lacks " + " and ".join(parts) if parts else "fits"


@dataclass(frozen=True)
class FitReport:
    """How a model fits boards."""

    model: str
    runtime: RuntimeKind
    boards: tuple[BoardFit, ...]

    @property
    def fitting(self) -> tuple[str, ...]:
        """The names of the boards that it fits."""
        return tuple(each.board.name for each in self.boards if each.fits)

    def rows(self) -> list[tuple[str, ...]]:
        """A row for each board, under ``FIT_HEADINGS``."""
        return [_row(each) for each in self.boards]

    def to_json(self) -> str:
        """For machines; sizes in bytes."""
        content = {
            "model": self.model,
            "runtime": self.runtime,
            "fits": list(self.fitting),
            "boards": [_object(each) for each in self.boards],
        }
        return json.dumps(content, indent=2)


def fit(
    sources: Path | Callable[[Board], Path],
    model: str,
    boards: Sequence[Board],
    runtime: RuntimeKind | str = RuntimeKind.AOT,
    *,
    stack_bytes: int = STACK_RESERVE_BYTES,
    optimize: str = "-O2",
    tflm: TflmOptions | None = None,
    progress: Progress = no_progress,
) -> FitReport:
    """Measures what a model takes and compares it with what boards have.

    Args:
        sources: The folder that holds ``aot/`` or ``tflm/``, or the one for a given board where
            boards have sources of their own. Nothing is written there.
        model: Name of the model, a C identifier.
        boards: The boards to compare with, in the order of the report.
        runtime: ``aot``, or ``tflm`` with TensorFlow Lite Micro's library.
        stack_bytes: RAM to reserve for the stack.
        tflm: For ``tflm``: which library, and how large an arena; None for what the environment
            variable ``TFLM_ROOT`` names.
        progress: Called with the links done and the links in total.

    Raises:
        TidepoolError: A tool or the sources are missing, or the model can't be linked for any of
            the boards. When it can for some, the report has the reason for the others.
    """
    runtime = RuntimeKind(runtime)
    options = tflm or TflmOptions()

    def link_of(board: Board) -> _Link:
        return board.gcc_flags, sources if isinstance(sources, Path) else sources(board)

    links = {link_of(board): board for board in boards}
    measured: dict[_Link, Footprint] = {}
    problems: dict[_Link, TidepoolError] = {}
    progress(0, len(links))
    for link, board in links.items():
        try:
            measured[link] = _measure(
                link[1], model, board, runtime, stack_bytes, options, optimize
            )
        except TidepoolError as error:
            problems[link] = error
        progress(len(measured) + len(problems), len(links))
    if problems and not measured:
        raise next(iter(problems.values()))
    fits = [
        BoardFit(board, measured[link_of(board)])
        if link_of(board) in measured
        else BoardFit(board, None, problems[link_of(board)].message)
        for board in boards
    ]
    return FitReport(model, runtime, tuple(fits))


def _measure(
    mcu_directory: Path,
    model: str,
    board: Board,
    runtime: RuntimeKind,
    stack_bytes: int,
    tflm: TflmOptions,
    optimize: str,
) -> Footprint:
    """Links the model for the board's core, with room for it, in a folder of its own."""
    roomy = board.model_copy(
        update={"name": f"{board.core}-any", "memory": _ROOMY, "boot_words": (), "qemu": None}
    )
    with tempfile.TemporaryDirectory(prefix="tidepool-") as name:
        copy = Path(name).resolve()
        for folder in ("aot", "tflm"):
            if (mcu_directory / folder).is_dir():
                shutil.copytree(mcu_directory / folder, copy / folder)
        sizes = measure_sizes(
            build_firmware(copy, model, roomy, runtime, optimize=optimize, tflm=tflm)
        )
    return Footprint(
        text_bytes=sizes.text_bytes,
        rodata_bytes=sizes.rodata_bytes,
        data_bytes=sizes.data_bytes,
        bss_bytes=sizes.bss_bytes,
        arena_bytes=sizes.arena_bytes,
        stack_bytes=stack_bytes,
    )


def _row(each: BoardFit) -> tuple[str, ...]:
    board, footprint = each.board, each.footprint
    start = (board.name, board.core)
    flash_of, ram_of = f"{board.flash_bytes:,}", f"{board.ram_bytes:,}"
    place = ", ".join(board.ram_regions)
    if footprint is None:
        return (*start, "", flash_of, "", "", ram_of, "", place, each.verdict)
    return (
        *start,
        f"{footprint.flash_bytes:,}",
        flash_of,
        f"{footprint.flash_bytes / board.flash_bytes:.1%}",
        f"{footprint.ram_bytes:,}",
        ram_of,
        f"{footprint.ram_bytes / board.ram_bytes:.1%}",
        place,
        each.verdict,
    )


def _object(each: BoardFit) -> dict[str, object]:
    board = each.board
    content: dict[str, object] = {
        "board": board.name,
        "core": board.core,
        "fits": each.fits,
        "verdict": each.verdict,
        "flash_available": board.flash_bytes,
        "ram_available": board.ram_bytes,
        "ram_regions": list(board.ram_regions),
    }
    if each.footprint is not None:
        content |= {
            "flash_used": each.footprint.flash_bytes,
            "flash_left": each.flash_left,
            "ram_used": each.footprint.ram_bytes,
            "ram_left": each.ram_left,
            "footprint": asdict(each.footprint),
        }
    return content

"""The boards for people and for machines: rows, JSON, and the reference page."""

from __future__ import annotations

import json
from collections.abc import Sequence

from device_runners.cortex_m.board import Board, MemoryRegion, Mve, all_boards

BOARD_HEADINGS = ("board", "core", "clock", "flash", "RAM", "emulator", "pyOCD target")
"""Headings of ``board_rows``."""


def board_rows(boards: Sequence[Board]) -> list[tuple[str, ...]]:
    """A row for each board, under ``BOARD_HEADINGS``."""
    return [
        (
            board.name,
            board.core,
            f"{board.clock_hz / 1e6:g} MHz",
            kibibytes(board.flash_bytes),
            kibibytes(board.ram_bytes),
            f"QEMU: {board.qemu.machine}" if board.qemu else "Renode",
            board.flash_tool.pyocd_target if board.flash_tool else "",
        )
        for board in boards
    ]


def board_details(board: Board) -> list[tuple[str, str]]:
    """Everything about one board, as pairs of what and value."""
    memory = board.memory
    rows = [
        ("board", board.name),
        ("description", board.description),
        ("core", board.core),
        ("extensions", extensions(board)),
        ("highest clock", f"{board.clock_hz / 1e6:g} MHz"),
        ("compiler flags", " ".join(board.gcc_flags)),
        ("vector table", _range(memory.vectors)),
        ("code and constants", _range(memory.flash)),
        ("arena, variables, stack", f"{_range(memory.ram)}: {', '.join(board.ram_regions)}"),
    ]
    for region in board.regions:
        state = "" if region.ready else ", has to be set up first"
        rows.append((f"region {region.name}", f"{_range(region)}, {region.kind}{state}"))
    if board.boot_words:
        words = " ".join(f"0x{word:08X}" for word in board.boot_words)
        rows.append(("for the boot ROM", words))
    if board.flash_tool is not None:
        tool = board.flash_tool
        origin = "built in" if tool.pyocd_builtin else f"pyocd pack install {tool.pyocd_target}"
        rows.append(("pyOCD target", f"{tool.pyocd_target} ({origin})"))
        options = " ".join(f"-f {file}" for file in tool.openocd)
        rows.append(("OpenOCD", options or "not supported by OpenOCD 0.12"))
    rows.append(("QEMU machine", board.qemu.machine if board.qemu else "none"))
    rows.append(("Renode's own platform", board.renode_platform or "none"))
    rows += [("source", source) for source in board.sources]
    rows += [("checked with", source) for source in board.checked_with]
    if board.note:
        rows.append(("note", board.note))
    return rows


def board_json(boards: Board | Sequence[Board]) -> str:
    """One board as a JSON object, or several as an array; sizes in bytes, clocks in Hz."""
    if isinstance(boards, Board):
        return json.dumps(_object(boards), indent=2)
    return json.dumps([_object(board) for board in boards], indent=2)


def extensions(board: Board) -> str:
    """FPU, DSP and MVE in words."""
    parts = [f"{board.fpu}-precision FPU" if board.fpu != "none" else "no FPU"]
    parts.append("DSP" if board.dsp else "no DSP")
    if board.mve is not Mve.NONE:
        parts.append("MVE (integer and float)" if board.mve is Mve.FLOAT else "MVE (integer)")
    return ", ".join(parts)


def kibibytes(size: int) -> str:
    """``2 MB`` or ``520 KB``, of 1,048,576 and 1,024 bytes."""
    return f"{size // 2**20} MB" if size % 2**20 == 0 else f"{size / 1024:g} KB"


def boards_page() -> str:
    """``docs/boards.md``: every board, its memory and where the figures come from."""
    boards = all_boards()
    lines = [
        "# Boards",
        "",
        "`tidepool boards list` and `tidepool boards show BOARD` print this, too; "
        "`--core BOARD` (`CORE=BOARD`) builds for one. Each is a file in "
        "`device_runners/cortex_m/boards/`.",
        "",
        "Flash and RAM are what a firmware can use from reset on: flash without what a boot loader "
        "keeps, and of the RAM the largest piece without a gap that needs no set-up, which is "
        "where arena, variables and stack go. KB and MB are of 1,024 and 1,048,576 bytes. The "
        "clock is the highest one of the core; the start-up code leaves the slower one that the "
        "chip has after reset.",
        "",
        "None of the real boards was at hand. Their firmware is built, and its sections are "
        "compared with the memory map; it runs where QEMU has a machine for it.",
        "",
        "*Documented in* names where to look a figure up. *Compared with* names what the figures "
        "and names were compared with when the board's file was written.",
        "",
        "| " + " | ".join(BOARD_HEADINGS) + " |",
        "| " + " | ".join("---" for _ in BOARD_HEADINGS) + " |",
        *("| " + " | ".join(row) + " |" for row in board_rows(boards)),
    ]
    for board in boards:
        lines += ["", f"## {board.name}", "", f"{board.description}. {_sentence(board)}"]
        if board.note:
            lines += ["", board.note]
        lines += [
            "",
            "| region | kind | origin | bytes | |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {region.name} | {region.kind} | 0x{region.origin:08X} | {region.length:,} | "
                f"{_use(board, region) if region.ready else 'has to be set up first'} |"
                for region in board.regions
            ),
            "",
            "Documented in: " + "; ".join(board.sources) + ".",
            "Compared with: " + "; ".join(board.checked_with) + ".",
        ]
    return "\n".join(lines) + "\n"


def _object(board: Board) -> dict[str, object]:
    content: dict[str, object] = board.model_dump(mode="json")
    return {
        **content,
        "flash_bytes": board.flash_bytes,
        "ram_bytes": board.ram_bytes,
        "ram_regions": list(board.ram_regions),
    }


def _sentence(board: Board) -> str:
    text = f"Core: {board.core} with {extensions(board)}."
    if board.flash_tool is not None:
        origin = "built in" if board.flash_tool.pyocd_builtin else "from a CMSIS pack"
        text += f" pyOCD: `{board.flash_tool.pyocd_target}`, {origin}."
        if board.flash_tool.openocd:
            text += " OpenOCD: " + ", ".join(f"`{file}`" for file in board.flash_tool.openocd) + "."
    return text


def _use(board: Board, region: MemoryRegion) -> str:
    """What the linker puts into a region."""
    parts = {
        "vector table": board.memory.vectors,
        "code and constants": board.memory.flash,
        "arena, variables, stack": board.memory.ram,
    }
    used = [
        name
        for name, part in parts.items()
        if part.origin < region.end and region.origin < part.end
    ]
    return ", ".join(used)


def _range(region: MemoryRegion) -> str:
    return f"0x{region.origin:08X} to 0x{region.end - 1:08X} ({region.length:,} bytes)"

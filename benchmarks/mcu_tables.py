"""The tables of ``mcu.py`` on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from measurements import Measured
from on_board import OnBoard
from per_layer import LayerCount

from pipeline import display

_TITLE = (
    "One inference, each figure with its bar (≤ held, > missed): instructions and text as a ratio "
    "to TFLM, the arena in bytes. Instructions are not cycles; these are an estimate for a "
    "Cortex-M4."
)
_HEADINGS = ("core", "model", "instructions", "arena", "text", "est. cycles", "constants", "stack")


def show(found: Sequence[Measured]) -> None:
    """A row for each core and model."""
    rows = [
        (
            each.core,
            each.model,
            *(one.cell() for one in each.standings),
            _number(each.estimated_cycles),
            f"{each.report.rodata_bytes:,}",
            f"{each.report.stack_bytes:,}",
            each.report.output_crc32,
            _exact(each.exact),
        )
        for each in found
    ]
    display.show_rows(_TITLE, (*_HEADINGS, "CRC32", "exact"), rows)


def show_layers(found: Sequence[Measured]) -> None:
    """A table for each core and model, a row for each layer and one for all of them."""
    headings = ("op", "opcode", "kernel", "output", "MACs", "instructions", "per MAC", "floor")
    for each in found:
        estimated = ("est. cycles",) if each.counts_for_m4 else ()
        rows = [_layer_row(layer) for layer in each.layers]
        rows.append(_sum_row(each))
        display.show_rows(
            f"{each.model} on {each.core}; floors: benchmarks/floors.py, the last row's of the "
            "layers that have one" + ("; cycles: an estimate for a Cortex-M4" if estimated else ""),
            (*headings, "times floor", *estimated),
            [row[: len(headings) + 1 + len(estimated)] for row in rows],
        )


def _layer_row(layer: LayerCount) -> tuple[str, ...]:
    return (
        str(layer.index),
        layer.opcode,
        layer.kernel or "",
        "x".join(map(str, layer.output_shape)),
        f"{layer.macs:,}",
        f"{layer.instructions:,}",
        _ratio(layer.instructions_per_mac, 3),
        _number(layer.floor),
        _ratio(layer.times_floor, 2),
        _number(layer.estimated_cycles),
    )


def _sum_row(each: Measured) -> tuple[str, ...]:
    with_floor = [(layer.instructions, layer.floor) for layer in each.layers if layer.floor]
    floor = sum(floor for _, floor in with_floor)
    macs = sum(layer.macs for layer in each.layers)
    return (
        "",
        "all",
        "",
        "",
        f"{macs:,}",
        f"{each.report.instructions:,}",
        _ratio(each.report.instructions / macs if macs else None, 3),
        _number(floor),
        _ratio(sum(count for count, _ in with_floor) / floor if floor else None, 2),
        _number(each.estimated_cycles),
    )


def show_board(found: Sequence[OnBoard]) -> None:
    """A row for each model that ran on the board."""
    board = found[0].report
    headings = ("model", "cycles", "from", "to", "ms", "instructions", "cycles each")
    rows = [
        (
            each.report.model,
            *_cycle_cells(each),
            _number(each.estimated_cycles),
            f"{each.report.stack_bytes:,}",
            each.report.output_crc32,
            _exact(each.report.bit_exact),
        )
        for each in found
    ]
    clock = "" if board.cycles is None else f", ms at {board.cycles.clock_hz / 1e6:g} MHz"
    display.show_rows(
        f"One inference on the board {board.board} ({board.core}){clock}: cycles by its own counter"
        ", instructions by the emulator, the estimate for a Cortex-M4",
        (*headings, "est. cycles", "stack", "CRC32", "exact"),
        rows,
    )


def _cycle_cells(each: OnBoard) -> tuple[str, ...]:
    cycles, instructions = each.report.cycles, each.instructions
    if cycles is None:
        return (f"unknown: {each.report.cycles_note}", "", "", "", f"{instructions:,}", "")
    return (
        f"{cycles.median:,}",
        f"{cycles.minimum:,}",
        f"{cycles.maximum:,}",
        f"{cycles.milliseconds_median:.3f}",
        f"{instructions:,}",
        f"{cycles.median / instructions:.2f}",
    )


def _exact(exact: bool) -> str:
    return "[green]yes[/]" if exact else "[red]NO[/]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _ratio(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"

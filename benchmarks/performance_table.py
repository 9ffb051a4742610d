"""The tables of ``docs/performance.md`` as Markdown, made of what ``make bench`` measured.

    make bench ARGS=--per-layer
    python benchmarks/performance_table.py [--results build/bench] [--out FILE]

Reads ``mcu.json`` and ``layers.json``. Prints the tables, or writes them to FILE: a table of
figures beside their bars for each level, then each model layer by layer, on the core that stands
for the level, with the distance of every layer from its floor (``floors.py``). The text around
them is written by hand: paste the tables over those that are there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from converters.errors import TidepoolError
from converters.files import write_atomic
from device_runners.cgen import Isa
from pipeline import display
from pipeline.stages.mcu import isa_of

_NAMES = {
    Isa.DSP: "With the DSP extension",
    Isa.MVE: "With the vector extension",
    Isa.SCALAR: "Without extensions",
}
"""In the order of the page."""
_FIGURES = ("instructions", "text_bytes", "arena_bytes")
_LAYERS = ("op", "kernel", "output", "MACs", "instructions", "per MAC", "floor", "times floor")


@dataclass(frozen=True)
class Results:
    """What ``mcu.py`` wrote.

    Attributes:
        figures: ``mcu.json``: core -> model -> figures.
        layers: ``layers.json``: core -> model -> layers.
    """

    figures: dict[str, dict[str, dict[str, Any]]]
    layers: dict[str, dict[str, list[dict[str, Any]]]]


def main(
    results: Annotated[Path, typer.Option(help="Where mcu.py wrote its results.")] = Path(
        "build/bench"
    ),
    out: Annotated[Path | None, typer.Option(help="The file; the terminal unless told.")] = None,
) -> None:
    """Make the tables of docs/performance.md."""
    try:
        text = page(_read(results))
    except TidepoolError as error:
        display.show_error(error)
        raise typer.Exit(error.exit_code) from None
    if out is None:
        display.show_json(text)
    else:
        write_atomic(out, text)


def page(results: Results) -> str:
    """All tables."""
    lines: list[str] = []
    for isa, name in _NAMES.items():
        cores = [core for core in results.figures if isa_of(core) is isa]
        if cores:
            lines += [f"## {name}: {', '.join(cores)}", ""]
            lines += _overview(results, cores)
    for isa in _NAMES:
        cores = [core for core in results.layers if isa_of(core) is isa]
        if cores:
            lines += _layer_by_layer(results, cores[0])
    return "\n".join(lines)


def _overview(results: Results, cores: Sequence[str]) -> list[str]:
    """A row for each model and core."""
    headings = ["model", "core", *(f.removesuffix("_bytes") for f in _FIGURES)]
    headings += ["estimated cycles", "constants", "stack"]
    rows = [
        [
            model,
            core,
            *(_with_bar(results.figures[core][model]["bars"][figure]) for figure in _FIGURES),
            _number(results.figures[core][model]["estimated_cycles"]),
            _number(results.figures[core][model]["rodata_bytes"]),
            _number(results.figures[core][model]["stack_bytes"]),
        ]
        for model in results.figures[cores[0]]
        for core in cores
    ]
    return [*_table(headings, rows), ""]


def _with_bar(bar: dict[str, Any]) -> str:
    mark = "" if bar["held"] else "**"
    if bar["bar_is"] == "bytes":
        return f"{mark}{bar['value']:,}{mark} (at most {bar['bar']:,})"
    return f"{bar['value']:,} ({mark}{bar['ratio']:.3f}{mark}, at most {bar['bar']:.2f})"


def _layer_by_layer(results: Results, core: str) -> list[str]:
    lines = [f"## Layer by layer, {core}", ""]
    for model, layers in results.layers[core].items():
        total = results.figures[core][model]["instructions"]
        floors = [layer for layer in layers if layer["floor"]]
        floor = sum(layer["floor"] for layer in floors)
        distance = sum(layer["instructions"] for layer in floors) / floor
        lines += [
            f"### {model}: {total:,} instructions, {distance:.2f} times the floor of its layers",
            "",
            *_table(_LAYERS, list(_layer_rows(layers))),
            "",
        ]
    return lines


def _layer_rows(layers: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """A row for each layer that executes something."""
    for layer in layers:
        if layer["kernel"] is None:
            continue
        floor = layer["floor_per_mac"]
        shown = "" if layer["floor"] is None else f"{layer['floor']:,.0f} in all"
        yield [
            str(layer["index"]),
            layer["kernel"],
            "x".join(map(str, layer["output_shape"][1:])),
            f"{layer['macs']:,}",
            f"{layer['instructions']:,}",
            _ratio(layer["instructions_per_mac"]),
            shown if floor is None else _ratio(floor),
            _ratio(layer["times_floor"]),
        ]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    marks = ["---"] * len(headings)
    return [f"| {' | '.join(cells)} |" for cells in (headings, marks, *rows)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _read(folder: Path) -> Results:
    try:
        return Results(*(json.loads((folder / f"{n}.json").read_text()) for n in ("mcu", "layers")))
    except FileNotFoundError as error:
        raise TidepoolError(
            f"there is no {error.filename}", hint="measure first: make bench ARGS=--per-layer"
        ) from None


if __name__ == "__main__":
    typer.run(main)

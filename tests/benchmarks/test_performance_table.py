from __future__ import annotations

import json
from pathlib import Path

import performance_table
import pytest
import typer
from typer.testing import CliRunner

_BAR = {"value": 4_740, "ratio": 0.197, "bar": 0.19, "bar_is": "ratio", "held": False}
_ARENA = {"value": 38_672, "ratio": 0.38, "bar": 40_000, "bar_is": "bytes", "held": True}
_FIGURES = {
    "bars": {"instructions": _BAR, "arena_bytes": _ARENA, "text_bytes": {**_BAR, "held": True}},
    "instructions": 4_740,
    "estimated_cycles": None,
    "rodata_bytes": 51_472,
    "stack_bytes": 752,
}
_LAYER = {
    "index": 0,
    "kernel": "conv_2d_dsp",
    "output_shape": [1, 48, 48, 8],
    "macs": 1_000,
    "instructions": 1_500,
    "instructions_per_mac": 1.5,
    "floor": 1_000,
    "floor_per_mac": 1.0,
    "times_floor": 1.5,
}
_ADD = {
    **_LAYER,
    "index": 1,
    "kernel": "add_affine",
    "macs": 0,
    "instructions_per_mac": None,
    "floor": 600,
    "floor_per_mac": None,
    "times_floor": 2.5,
}
_RESHAPE = {**_ADD, "index": 2, "kernel": None, "floor": None, "times_floor": None}

app = typer.Typer()
app.command()(performance_table.main)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mcu.json").write_text(json.dumps({"cortex-m4": {"vww": _FIGURES}}))
    layers = {"cortex-m4": {"vww": [_LAYER, _ADD, _RESHAPE]}}
    (tmp_path / "layers.json").write_text(json.dumps(layers))
    return tmp_path


def test_the_page_has_figures_beside_their_bars_and_layers_beside_their_floors(
    folder: Path,
) -> None:
    out = folder / "table.md"
    result = CliRunner().invoke(app, ["--results", str(folder), "--out", str(out)])
    assert result.exit_code == 0, result.output
    lines = out.read_text().splitlines()
    assert "## With the DSP extension: cortex-m4" in lines
    (row,) = (line for line in lines if line.startswith("| vww |"))
    assert "4,740 (**0.197**, at most 0.19)" in row  # missed
    assert "38,672 (at most 40,000)" in row
    # The reshape executes nothing; 3,000 instructions over a floor of 1,600.
    assert "### vww: 4,740 instructions, 1.88 times the floor of its layers" in lines
    assert "| 0 | conv_2d_dsp | 48x48x8 | 1,000 | 1,500 | 1.50 | 1.00 | 1.50 |" in lines
    assert "| 1 | add_affine | 48x48x8 | 0 | 1,500 |  | 600 in all | 2.50 |" in lines
    assert lines[-1].startswith("| 1 |")


def test_without_layers_it_says_how_to_measure_them(tmp_path: Path) -> None:
    (tmp_path / "mcu.json").write_text("{}")
    result = CliRunner().invoke(app, ["--results", str(tmp_path)])
    assert result.exit_code == 1

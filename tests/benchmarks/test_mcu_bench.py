"""The benchmark on emulated cores and on a board, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mcu as bench
import pytest
import typer
from support.probe_bench import set_up_bench
from typer.testing import CliRunner, Result

from device_runners.cortex_m import CORES

_BOARD = "nucleo_f446re"

app = typer.Typer()
app.command()(bench.main)


def run(models: Path, out: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(app, ["--models", str(models), "--out", str(out), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_a_model_on_a_core_is_held_against_its_bars_and_floors(
    mlperf_tiny: Path, tmp_path: Path
) -> None:
    arguments = ("--core", "cortex-m4", "--model", "ad", "--per-layer", "--hold")
    result = run(mlperf_tiny, tmp_path, *arguments)
    assert result.exit_code == 0, result.output
    figures = read(tmp_path / "mcu.json")["cortex-m4"]["ad"]
    assert figures["bit_exact"] and figures["output_crc32"] == "f9fb5916"
    assert figures["estimated_cycles"] > figures["instructions"]
    assert {key: bar["held"] for key, bar in figures["bars"].items()} == {
        "instructions": True,
        "arena_bytes": True,
        "text_bytes": True,
    }
    assert figures["bars"]["instructions"]["value"] == figures["instructions"]
    layers = read(tmp_path / "layers.json")["cortex-m4"]["ad"]
    assert [layer["opcode"] for layer in layers] == ["FULLY_CONNECTED"] * 10
    assert sum(layer["macs"] for layer in layers) == 264_192
    counted = sum(layer["instructions"] for layer in layers)
    assert counted == pytest.approx(figures["instructions"], rel=0.01)
    cycles = sum(layer["estimated_cycles"] for layer in layers)
    assert cycles == pytest.approx(figures["estimated_cycles"], rel=0.01)
    assert all(layer["times_floor"] >= 1 for layer in layers)
    for name in ("mcu.png", "layers.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    for words in ("≤ 0.45", "≤ 768", "times floor", "est. cycles"):
        assert words in result.stdout


def test_cycles_of_a_cortex_m4_are_not_estimated_for_vector_code(
    mlperf_tiny: Path, tmp_path: Path
) -> None:
    arguments = ("--core", "cortex-m55", "--model", "ad", "--per-layer")
    result = run(mlperf_tiny, tmp_path, *arguments)
    assert result.exit_code == 0, result.output
    assert read(tmp_path / "mcu.json")["cortex-m55"]["ad"]["estimated_cycles"] is None
    layers = read(tmp_path / "layers.json")["cortex-m55"]["ad"]
    assert all(layer["estimated_cycles"] is None for layer in layers)


def test_a_missed_bar_shows_and_only_fails_where_it_is_asked_to_hold(
    mlperf_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = bench.bars_of

    def stricter(model: str, core: str, isa: Any, baseline: Any) -> Any:
        halved = {**baseline["instructions"]}
        halved[core] = {name: count // 2 for name, count in halved[core].items()}
        return original(model, core, isa, {**baseline, "instructions": halved})

    monkeypatch.setattr(bench, "bars_of", stricter)
    arguments = ("--core", "cortex-m4", "--model", "ad")
    shown = run(mlperf_tiny, tmp_path, *arguments)
    assert shown.exit_code == 0 and "> 0.45" in shown.stdout
    assert not read(tmp_path / "mcu.json")["cortex-m4"]["ad"]["bars"]["instructions"]["held"]
    held = run(mlperf_tiny, tmp_path, *arguments, "--hold")
    assert held.exit_code == 6


def test_a_wrong_request_is_refused(mlperf_tiny: Path, tmp_path: Path) -> None:
    assert run(tmp_path, tmp_path).exit_code == 1  # no baseline there
    assert run(mlperf_tiny, tmp_path, "--model", "kwz").exit_code == 1
    assert run(mlperf_tiny, tmp_path, "--model", "ad", "--core", "cortex-m5").exit_code == 1
    assert run(mlperf_tiny, tmp_path, "--board", _BOARD, "--per-layer").exit_code == 2
    assert run(mlperf_tiny, tmp_path, "--probe", "066E").exit_code == 2
    assert run(mlperf_tiny, tmp_path, "--board", "mps2-an386").exit_code == 1
    assert not list(tmp_path.iterdir())


def test_a_board_counts_its_own_cycles(
    mlperf_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_bench(tmp_path, monkeypatch).install("pyocd")
    out = tmp_path / "bench"
    result = run(mlperf_tiny, out, "--board", _BOARD, "--model", "ad")
    assert result.exit_code == 0, result.output
    report = read(out / f"board-{_BOARD}.json")["ad"]
    assert report["bit_exact"] and report["output_crc32"] == "f9fb5916"
    assert report["tool"] == "pyocd" and report["core"] == "cortex-m4"
    assert report["cycles"]["minimum"] > 0
    assert report["instructions"] < report["estimated_cycles"]
    assert f"the board {_BOARD}" in result.stdout and "at 180 MHz" in result.stdout


def test_without_a_probe_the_board_is_built_for_and_the_commands_are_told(
    mlperf_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = set_up_bench(tmp_path, monkeypatch)
    stand_in.install("pyocd")
    stand_in.connect()
    errors: list[str] = []
    monkeypatch.setattr(bench.display, "show_error", lambda error: errors.append(str(error)))
    result = run(mlperf_tiny, tmp_path / "bench", "--board", _BOARD, "--model", "ad")
    assert result.exit_code == 1
    (error,) = errors
    assert error.startswith("no debug probe is connected")
    assert "The firmware is built. This would run:" in error
    assert "pyocd load --target stm32f446retx" in error
    assert not list((tmp_path / "bench").glob("board-*.json"))


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_no_layer_gets_below_its_floor(mlperf_tiny: Path, core: str, tmp_path: Path) -> None:
    result = run(mlperf_tiny, tmp_path, "--core", core, "--per-layer")
    assert result.exit_code == 0, result.output
    for model, layers in read(tmp_path / "layers.json")[core].items():
        below = [
            (model, layer["index"], layer["times_floor"])
            for layer in layers
            if layer["times_floor"] is not None and layer["times_floor"] < 1
        ]
        assert not below

"""``tidepool flash`` as a user calls it, with QEMU in the place of the board."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from support.probe_bench import Bench, set_up_bench
from typer.testing import CliRunner, Result

from converters.errors import ExitCode, TidepoolError
from converters.tflite import write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.options import FullyConnectedOptions, SoftmaxOptions
from device_runners import cortex_m
from pipeline import flash as flashing
from pipeline import run
from pipeline.board_report import BoardReport, cycles_report
from pipeline.cli.flashing import flash
from pipeline.listener import Silent
from pipeline.settings import load_settings
from pipeline.source import resolve

BOARD = "nucleo_f446re"

app = typer.Typer()
app.command()(flash)


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    bench = set_up_bench(tmp_path, monkeypatch)
    bench.install("pyocd", "openocd")
    return bench


@pytest.fixture
def model(tmp_path) -> Path:
    rng = np.random.default_rng(1)
    b = GraphBuilder("net")
    x = b.input((1, 8), 0.05, -3)
    w = b.constant(rng.integers(-127, 128, (4, 8), np.int8), scales=[0.02])
    bias = b.constant(rng.integers(-99, 99, 4, np.int32), scales=[0.001])
    y = b.op(
        "FULLY_CONNECTED",
        [x, w, bias],
        FullyConnectedOptions(),
        shape=(1, 4),
        scale=0.1,
        zero_point=5,
    )
    b.output(
        b.op("SOFTMAX", [y], SoftmaxOptions(1.0), shape=(1, 4), scale=1 / 256, zero_point=-128)
    )
    path = tmp_path / "net_int8.tflite"
    path.write_bytes(write_graph(b.graph()))
    return path


def tidepool_flash(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def error_of(result: Result) -> TidepoolError:
    assert isinstance(result.exception, TidepoolError), result.output
    return result.exception


@pytest.mark.parametrize("tool", ["pyocd", "openocd"])
def test_a_model_runs_bit_exact_and_its_report_has_the_cycles(bench, model, tool) -> None:
    result = tidepool_flash(model, "--board", BOARD, "--tool", tool, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["bit_exact"] and report["mismatch"] is None
    assert report["samples"] == 4
    assert report["tool"] == tool
    cycles = report["cycles"]
    assert 0 < cycles["minimum"] <= cycles["median"] <= cycles["maximum"]
    assert cycles["clock_hz"] == 180_000_000
    assert cycles["milliseconds_median"] == pytest.approx(cycles["median"] / 180e3)
    assert "wait states" in cycles["note"]
    assert report["instructions"] is None
    written = Path("build/net") / f"flash-{BOARD}.json"
    assert json.loads(written.read_text()) == report
    # The image that was programmed is the one in the build folder.
    assert bench.flash.read_bytes() == (Path(report["directory"]) / "firmware.elf").read_bytes()


def test_a_dataset_runs_and_is_scored(bench, model, tmp_path) -> None:
    rng = np.random.default_rng(2)
    data = tmp_path / "data.npz"
    np.savez(
        data,
        x_test=rng.normal(size=(20, 8)).astype(np.float32),
        y_test=rng.integers(0, 4, 20),
    )
    result = tidepool_flash(
        model, "--board", BOARD, "--dataset", data, "--samples", "5", "--clock", "16", "--json"
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["samples"] == 5
    assert report["inputs"] == str(data)
    assert report["metric"] == "accuracy"
    assert report["board_value"] == report["host_value"]
    assert report["cycles"]["clock_hz"] == 16_000_000


def test_the_table_has_the_latency_and_the_instructions_of_the_emulator(bench, model) -> None:
    settings = load_settings(None, {"mcu.core": "cortex-m4"})
    run.emulate(resolve(model), settings, Silent())
    result = tidepool_flash(model, "--board", BOARD)
    assert result.exit_code == 0, result.output
    for words in ("bit-exact", "cycles per inference", "at 180 MHz", "cycles per instruction"):
        assert words in result.stdout


def test_instructions_of_another_model_or_core_are_not_taken(bench, model) -> None:
    settings = load_settings(None, {"mcu.core": "cortex-m4"})
    emulated = run.emulate(resolve(model), settings, Silent())
    board = cortex_m.find_board(BOARD)
    built = flashing.build(resolve(model), board, settings, Silent())
    plan = cortex_m.plan_flash(built.firmware)
    report = flashing.run_on_board(built, plan, settings, Silent())
    folder = Path("build/net")
    known = flashing.known_instructions
    assert emulated.report.mcu is not None and emulated.report.mcu.emulation is not None
    expected = emulated.report.mcu.emulation.instructions
    assert known(folder, built.model, report) == expected
    assert known(folder, built.model, report.model_copy(update={"core": "cortex-m7"})) is None
    assert known(folder, built.model, report.model_copy(update={"runtime": "tflm"})) is None
    (folder / "net_int8.tflite").write_bytes(b"another model")
    assert known(folder, built.model, report) is None
    assert known(Path("nowhere"), built.model, report) is None


def test_a_dry_run_builds_and_prints_the_commands(bench, model) -> None:
    bench.connect()
    result = tidepool_flash(model, "--board", BOARD, "--probe", "066E", "--dry-run")
    assert result.exit_code == 0, result.output
    folder, load, run_line = result.stdout.splitlines()
    assert folder.startswith("cd ")
    assert (Path(folder.removeprefix("cd ")) / "inputs.bin").stat().st_size == 4 * 8
    assert "pyocd load --target stm32f446retx" in load and load.endswith("firmware.elf")
    assert "pyocd run --target stm32f446retx" in run_line and "--probe 066E" in run_line
    assert not bench.flash.exists()
    as_json = tidepool_flash(model, "--board", BOARD, "--tool", "openocd", "--dry-run", "--json")
    plan = json.loads(as_json.stdout)
    assert plan["tool"] == "openocd"
    assert plan["run"][-6:] == ["-c", "reset halt", "-c", "arm semihosting enable", "-c", "resume"]


def test_without_a_probe_the_error_has_the_command_that_would_run(bench, model) -> None:
    bench.connect()
    error = error_of(tidepool_flash(model, "--board", BOARD))
    assert error.message == "no debug probe is connected"
    assert error.exit_code == ExitCode.ERROR
    assert "pyocd load --target stm32f446retx" in error.hint
    assert "pyocd run --target stm32f446retx" in error.hint
    assert "inputs.bin" in {each.name for each in Path("build/net/mcu/firmware").rglob("*")}


def test_without_a_tool_the_error_says_how_to_get_one(tmp_path, monkeypatch, model) -> None:
    monkeypatch.chdir(tmp_path)
    set_up_bench(tmp_path, monkeypatch)
    error = error_of(tidepool_flash(model, "--board", BOARD))
    assert error.message == "pyocd is not installed"
    assert error.hint.startswith("pip install 'tidepool[flash]'")
    assert "pyocd load" in error.hint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "mps2-an386"], "mps2-an386 can't be flashed"),
        (["--board", "nucleo_f446"], "unknown core or board 'nucleo_f446'"),
        (["--board", "rpi_pico2", "--tool", "openocd"], "OpenOCD 0.12 has no configuration"),
        (["--board", BOARD, "--samples", "none"], "--samples is 'none'"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_built(
    bench, model, arguments, message
) -> None:
    assert message in error_of(tidepool_flash(model, *arguments)).message
    assert not Path("build").exists()


def test_a_difference_from_the_reference_ends_with_its_exit_code(bench, model, monkeypatch) -> None:
    original = cortex_m.flash_and_run

    def corrupted(*arguments, **options):
        result = original(*arguments, **options)
        result.outputs[2][0][0, 1] ^= 1
        return result

    monkeypatch.setattr(cortex_m, "flash_and_run", corrupted)
    result = tidepool_flash(model, "--board", BOARD)
    error = error_of(result)
    assert error.exit_code == ExitCode.MISMATCH
    assert "DIFFERS from the reference" in result.stdout
    assert "sample 2" in result.stdout
    written = BoardReport.model_validate_json(
        (Path("build/net") / f"flash-{BOARD}.json").read_text()
    )
    assert not written.bit_exact


def test_cycles_are_summed_up_by_their_order() -> None:
    report = cycles_report([300, 100, 200, 1000], 1_000_000)
    assert (report.minimum, report.median, report.maximum) == (100, 200, 1000)
    assert report.milliseconds_maximum == pytest.approx(1.0)

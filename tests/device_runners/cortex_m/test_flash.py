"""Flashing a board, with QEMU in the place of the board and stand-ins for pyocd and openocd."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.aot_folder import NEGATE, int8_layout, random_samples, write_aot_folder
from support.probe_bench import OTHER_PROBE, PROBE, Bench, set_up_bench

from converters.errors import TidepoolError
from device_runners.cortex_m import (
    Firmware,
    FlashToolKind,
    all_boards,
    build_firmware,
    check_ready,
    choose_tool,
    find_board,
    flash_and_run,
    plan_flash,
    write_inputs,
)
from device_runners.cortex_m import flash as flash_module

BOARD = "nucleo_f446re"
SLOW_NEGATE = "for (volatile uint32_t i = 0; i < 2000u; i++) {\n}\n" + NEGATE
FLASHABLE = [board.name for board in all_boards() if board.flash_tool]
both_tools = pytest.mark.parametrize("tool", list(FlashToolKind))


@pytest.fixture
def bench(tmp_path, monkeypatch) -> Bench:
    bench = set_up_bench(tmp_path, monkeypatch)
    bench.install("pyocd", "openocd")
    return bench


@pytest.fixture(scope="module")
def firmware(tmp_path_factory) -> Firmware:
    mcu = write_aot_folder(tmp_path_factory.mktemp("mcu dir"), SLOW_NEGATE)
    return build_firmware(mcu, "toy", find_board(BOARD))


def toy(tmp_path: Path, invoke: str) -> Firmware:
    return build_firmware(write_aot_folder(tmp_path / "mcu", invoke), "toy", find_board(BOARD))


def is_running(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def run(firmware: Firmware, tool: FlashToolKind, samples, **options):
    plan = plan_flash(firmware, tool)
    return flash_and_run(plan, firmware, samples, [int8_layout(8)], **options)


@both_tools
def test_outputs_and_cycles_come_back_from_what_was_programmed(bench, firmware, tool) -> None:
    samples = random_samples(3, 8)
    seen: list[tuple[int, int | None]] = []
    result = run(firmware, tool, samples, progress=lambda *each: seen.append(each))

    assert bench.flash.read_bytes() == firmware.elf.read_bytes()
    for (given,), (negated,) in zip(samples, result.outputs, strict=True):
        np.testing.assert_array_equal(negated, np.negative(given))
    # 168 MHz and one instruction in a nanosecond: the loop's twelve thousand instructions.
    assert result.cycles is not None and result.cycles_note == ""
    assert len(result.cycles) == 3
    assert 1000 < min(result.cycles) <= max(result.cycles) < 10_000
    assert result.arena_bytes == 32
    assert 0 < result.stack_bytes < 100
    assert seen[-1] == (3, 3)
    assert result.tool_version == ("0.46.0" if tool is FlashToolKind.PYOCD else "0.12.0")
    assert not is_running(bench.pid)


@both_tools
def test_nothing_of_an_earlier_run_is_taken_for_a_result(bench, firmware, tool) -> None:
    run(firmware, tool, random_samples(2, 8))
    bench.say(says="Error: open failed\nNo connected debug probes")
    with pytest.raises(TidepoolError):
        run(firmware, tool, random_samples(2, 8))
    assert not (firmware.elf.parent / "outputs.bin").exists()


@both_tools
def test_a_fault_is_told_with_its_function(bench, tmp_path, tool) -> None:
    faulty = toy(tmp_path, "*(volatile uint32_t *)0xF0000000u = 1u;")
    with pytest.raises(TidepoolError, match=r"faulted: BusFault.* in toy_invoke") as caught:
        run(faulty, tool, random_samples(1, 8))
    assert "addr2line" in caught.value.hint
    assert not is_running(bench.pid)


@both_tools
def test_a_hang_ends_with_the_sample_and_leaves_no_process(bench, tmp_path, tool) -> None:
    hanging = toy(tmp_path, 'for (;;) {\n__asm__ volatile("");\n}')
    with pytest.raises(TidepoolError, match="hangs: sample 0 took more than 2 s"):
        run(hanging, tool, random_samples(1, 8), timeout=2)
    assert not is_running(bench.pid)


@both_tools
def test_what_the_firmware_says_against_its_files_is_the_error(bench, firmware, tool) -> None:
    with pytest.raises(TidepoolError, match=r"inputs\.bin has 7 bytes, which is no multiple"):
        run(firmware, tool, random_samples(1, 7))


def test_no_sample_is_an_error(bench, firmware) -> None:
    with pytest.raises(TidepoolError, match="no sample"):
        run(firmware, FlashToolKind.PYOCD, [])


def test_the_tool_that_dies_in_between_is_told_with_its_words(bench, firmware, monkeypatch) -> None:
    plan = plan_flash(firmware, "pyocd")
    dying = replace(plan, run=("sh", "-c", "echo 'E Transfer fault (FAULT ACK)' >&2; exit 1"))
    with pytest.raises(TidepoolError, match=f"doesn't reach the chip of the board {BOARD}"):
        flash_and_run(dying, firmware, random_samples(1, 8), [int8_layout(8)])
    unknown = replace(plan, run=("sh", "-c", "echo something odd >&2; exit 1"))
    with pytest.raises(TidepoolError, match=r"lost the firmware .* before its end:\nsomething odd"):
        flash_and_run(unknown, firmware, random_samples(1, 8), [int8_layout(8)])


def test_cycles_that_may_have_wrapped_are_none(bench, firmware, monkeypatch) -> None:
    monkeypatch.setattr(flash_module, "_CYCCNT_BITS", 10)
    result = run(firmware, FlashToolKind.OPENOCD, random_samples(1, 8))
    assert result.cycles is None
    assert "may have wrapped" in result.cycles_note
    assert result.outputs


def test_a_count_beyond_systicks_bits_gives_no_cycles(bench, tmp_path) -> None:
    loop = "for (volatile uint32_t i = 0; i < 20000000u; i++) {\n}\n"
    result = run(toy(tmp_path, loop + NEGATE), FlashToolKind.OPENOCD, random_samples(1, 8))
    assert result.cycles is None
    assert "SysTick's 24 bits" in result.cycles_note


def test_counters_that_stand_still_give_no_cycles(bench, tmp_path) -> None:
    # The emulated machine with the slowest clock: so short an inference takes no tick there.
    bench.say(machine="mps2-an386")
    tool = find_board(BOARD).flash_tool
    board = find_board("mps2-an386").model_copy(update={"flash_tool": tool})
    mcu = write_aot_folder(tmp_path / "mcu", "arena[16] = arena[0];")
    result = run(build_firmware(mcu, "toy", board), FlashToolKind.OPENOCD, random_samples(1, 8))
    assert result.cycles is None
    assert "neither DWT's" in result.cycles_note


def test_the_plan_is_what_a_shell_takes(bench, firmware) -> None:
    plan = plan_flash(firmware, "pyocd", PROBE["unique_id"])
    write_inputs(plan, firmware, random_samples(2, 8))
    # Its process ends only when it is told to: like the real one it isn't told of the exit.
    code = os.system(" && ".join(plan.lines()[:2]))
    assert code == 0
    assert (plan.directory / "inputs.bin").stat().st_size == 16
    assert bench.flash.read_bytes() == firmware.elf.read_bytes()
    by_openocd = plan_flash(firmware, "openocd", PROBE["unique_id"])
    assert os.system(" && ".join(by_openocd.lines())) == 0
    assert (plan.directory / "outputs.bin").stat().st_size == 16


class TestBeforeTheFirstByte:
    def test_everything_is_there(self, bench, firmware) -> None:
        check_ready(plan_flash(firmware, "pyocd"))
        check_ready(plan_flash(firmware, "openocd"))

    def test_pyocd_is_missing(self, tmp_path, monkeypatch, firmware) -> None:
        set_up_bench(tmp_path, monkeypatch)
        plan = plan_flash(firmware)
        assert plan.load[0] == "pyocd"
        with pytest.raises(TidepoolError, match="pyocd is not installed") as caught:
            check_ready(plan)
        assert "pip install 'tidepool[flash]'" in caught.value.hint
        assert "apt-get install openocd" in caught.value.hint
        with pytest.raises(TidepoolError, match="openocd is not installed"):
            check_ready(plan_flash(firmware, "openocd"))

    def test_openocd_stands_in_for_a_missing_pyocd(self, tmp_path, monkeypatch, firmware) -> None:
        bench = set_up_bench(tmp_path, monkeypatch)
        bench.install("openocd")
        assert plan_flash(firmware).tool is FlashToolKind.OPENOCD
        # ... but only where it knows the chip.
        assert choose_tool(find_board("rpi_pico2"), None) is FlashToolKind.PYOCD
        bench.install("pyocd")
        assert plan_flash(firmware).tool is FlashToolKind.PYOCD

    def test_pyocd_is_found_beside_python(self, tmp_path, monkeypatch, firmware) -> None:
        bench = set_up_bench(tmp_path, monkeypatch)
        bench.install("pyocd")
        monkeypatch.setattr("device_runners.cortex_m.probes.shutil.which", lambda _: None)
        assert plan_flash(firmware).load[0] == str(bench.folder / "pyocd")

    def test_no_probe_is_connected(self, bench, firmware) -> None:
        bench.connect()
        with pytest.raises(TidepoolError, match="no debug probe is connected") as caught:
            check_ready(plan_flash(firmware, "pyocd"))
        assert "pyocd list" in caught.value.hint

    def test_the_probe_may_not_be_opened(self, bench, firmware) -> None:
        bench.connect()
        bench.say(
            warns="[Errno 13] Access denied (insufficient permissions) while trying to get the "
            "STLink USB device configuration (VID=0483 PID=374b). This can probably be remedied "
            "with a udev rule. See <https://github.com/pyocd/pyOCD/tree/master/udev> for help."
        )
        with pytest.raises(TidepoolError, match="this user may not open it") as caught:
            check_ready(plan_flash(firmware, "pyocd"))
        assert "udev rules" in caught.value.hint

    def test_of_two_probes_one_has_to_be_named(self, bench, firmware) -> None:
        bench.connect(PROBE, OTHER_PROBE)
        with pytest.raises(TidepoolError, match="2 debug probes are connected: 066EFF") as caught:
            check_ready(plan_flash(firmware, "pyocd"))
        assert "--probe" in caught.value.hint
        check_ready(plan_flash(firmware, "pyocd", "1050"))

    def test_the_chips_pack_is_missing(self, bench, firmware) -> None:
        bench.know("nrf52840")
        with pytest.raises(TidepoolError, match="no support for stm32f446retx") as caught:
            check_ready(plan_flash(firmware, "pyocd"))
        assert "pyocd pack install stm32f446retx" in caught.value.hint

    def test_the_board_exists_on_an_emulator_only(self, bench, firmware) -> None:
        emulated = replace(firmware, board=find_board("mps2-an386"))
        with pytest.raises(TidepoolError, match="mps2-an386 can't be flashed") as caught:
            plan_flash(emulated)
        assert BOARD in caught.value.hint

    def test_openocd_has_no_configuration_for_the_board(self) -> None:
        with pytest.raises(TidepoolError, match=r"OpenOCD 0\.12 has no configuration") as caught:
            choose_tool(find_board("rpi_pico2"), "openocd")
        assert "--tool pyocd" in caught.value.hint


@pytest.mark.parametrize(
    ("tool", "says", "message"),
    [
        ("pyocd", "No connected debug probe matches unique ID 'ab'", "has the ID 'ab'"),
        ("pyocd", "0001053 E No target device available [load_cmd]", "no debug probe"),
        ("pyocd", "Target type stm32x not recognized. Use 'pyocd list", "no support for stm32x"),
        ("pyocd", "argument cmd: invalid choice: 'run' (choose from", "too old"),
        ("pyocd", "E STLink error (9): Get IDCODE error; No ACK", "doesn't reach the chip"),
        ("openocd", "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS", "may not open it"),
        ("openocd", "Error: open failed", "no debug probe is connected"),
        ("openocd", "Error: unable to find a matching CMSIS-DAP device", "no debug probe"),
        ("openocd", "embedded:startup.tcl:28: Error: Can't find board/x.cfg", "no board/x.cfg"),
        (
            "openocd",
            "Error: init mode failed (unable to connect to the target)",
            "doesn't reach the chip",
        ),
        ("openocd", "Error: the sky is falling", "can't program the board"),
    ],
)
def test_a_failing_tool_gives_one_clear_error(bench, firmware, tool, says, message) -> None:
    bench.say(says=says)
    with pytest.raises(TidepoolError, match=message) as caught:
        run(firmware, FlashToolKind(tool), random_samples(1, 8))
    assert caught.value.hint


def test_a_path_that_openocd_cannot_be_told_of_is_refused(firmware) -> None:
    with pytest.raises(TidepoolError, match="brace"):
        plan_flash(replace(firmware, elf=Path("/tmp/{x}/firmware.elf")), "openocd")


@pytest.mark.parametrize("name", FLASHABLE)
def test_every_board_has_its_commands(firmware, name) -> None:
    board = find_board(name)
    assert board.flash_tool is not None
    plan = plan_flash(replace(firmware, board=board), "pyocd")
    assert plan.load[1] == "load" and plan.run[1] == "run"
    for command in (plan.load, plan.run):
        assert board.flash_tool.pyocd_target in command
    if board.flash_tool.openocd:
        plan = plan_flash(replace(firmware, board=board), "openocd", "123")
        assert all(file in plan.load for file in board.flash_tool.openocd)
        assert "adapter serial {123}" in plan.run

"""pyOCD itself, where it is installed: its targets, its options, and a whole flash on QEMU."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from support.aot_folder import NEGATE, int8_layout, random_samples, write_aot_folder

from converters.errors import TidepoolError
from device_runners.cortex_m import (
    all_boards,
    build_firmware,
    check_ready,
    find_board,
    find_program,
    flash_and_run,
    plan_flash,
)
from device_runners.cortex_m.board import FlashTool
from device_runners.cortex_m.probes import FlashToolKind

pytest.importorskip("pyocd", reason="pyOCD isn't installed: pip install 'tidepool[flash]'")

BOARDS = [board for board in all_boards() if board.flash_tool]
BUILTIN = [board for board in BOARDS if board.flash_tool.pyocd_builtin]


def by_name(boards):
    return pytest.mark.parametrize("board", boards, ids=lambda board: board.name)


def pyocd_target(name: str):
    from pyocd.core.session import Session
    from pyocd.target import TARGET
    from pyocd.tools.lists import StubProbe

    return TARGET[name](Session(StubProbe(), no_config=True, target_override="cortex_m"))


@by_name(BOARDS)
def test_the_board_says_rightly_whether_pyocd_brings_its_target(board) -> None:
    from pyocd.target import TARGET

    assert (board.flash_tool.pyocd_target in TARGET) == board.flash_tool.pyocd_builtin


@by_name(BUILTIN)
def test_what_is_loaded_lies_in_the_targets_flash_and_its_variables_in_ram(board, tmp_path) -> None:
    from elftools.elf.elffile import ELFFile

    memory = pyocd_target(board.flash_tool.pyocd_target).memory_map
    firmware = build_firmware(write_aot_folder(tmp_path, NEGATE), "toy", board)
    with firmware.elf.open("rb") as file:
        loaded = [
            (each["p_paddr"], each["p_filesz"])
            for each in ELFFile(file).iter_segments()
            if each["p_type"] == "PT_LOAD" and each["p_filesz"]
        ]
    assert loaded
    for address, size in loaded:
        region = memory.get_region_for_address(address)
        assert region is not None and region.is_flash
        assert region.contains_range(start=address, length=size)
    for part in (board.memory.vectors, board.memory.flash):
        assert memory.get_region_for_address(part.end - 1) is not None
    # Without its cache pyOCD reads and writes outside of all regions, too.
    ram = memory.get_region_for_address(board.memory.ram.origin)
    assert ram is None or ram.is_ram


def test_every_option_exists(tmp_path) -> None:
    from pyocd.core.options import BUILTIN_OPTIONS

    firmware = build_firmware(write_aot_folder(tmp_path, NEGATE), "toy", find_board("nrf52840dk"))
    plan = plan_flash(firmware, "pyocd", "abc")
    known = {option.name for option in BUILTIN_OPTIONS}
    for command in (plan.load, plan.run):
        verb = [sys.executable, "-m", "pyocd", command[1]]
        shown = subprocess.run([*verb, "--help"], capture_output=True, text=True, check=True)
        for word in command[2:]:
            assert not word.startswith("--") or word in shown.stdout, word
        settings = [value for flag, value in itertools.pairwise(command) if flag == "-O"]
        assert settings
        assert {setting.partition("=")[0] for setting in settings} <= known


def test_a_machine_without_a_probe_is_told_so(tmp_path) -> None:
    if find_program(FlashToolKind.PYOCD) is None:
        pytest.skip("pyocd's command isn't beside its package")
    mcu = write_aot_folder(tmp_path, NEGATE)
    plan = plan_flash(build_firmware(mcu, "toy", find_board("nrf52840dk")), "pyocd")
    try:
        check_ready(plan)
    except TidepoolError as error:
        assert error.message == "no debug probe is connected"
    else:
        pytest.skip("a debug probe is connected to this machine")
    needs_pack = plan_flash(build_firmware(mcu, "toy", find_board("nucleo_f446re")), "pyocd")
    with pytest.raises(TidepoolError, match=r"no support for stm32f446retx|no debug probe"):
        check_ready(needs_pack)


@pytest.fixture
def played_board():
    """A board that QEMU can play, by the name under which pyOCD knows any Cortex-M."""
    tool = FlashTool(pyocd_target="cortex_m", pyocd_builtin=True, openocd=())
    return find_board("nucleo_f446re").model_copy(update={"flash_tool": tool})


def test_pyocd_flashes_runs_and_serves_the_firmware(played_board, tmp_path) -> None:
    from support.pyocd_probe import served
    from support.qemu_core import qemu_core

    firmware = build_firmware(write_aot_folder(tmp_path / "mcu", NEGATE), "toy", played_board)
    samples = random_samples(2, 8)
    with (
        qemu_core("netduinoplus2", firmware.elf, tmp_path) as core,
        served(core) as probe,
    ):
        plan = plan_flash(firmware, "pyocd", probe)
        result = flash_and_run(plan, firmware, samples, [int8_layout(8)], timeout=60)
        assert core.asked_to_reset
    for (given,), (negated,) in zip(samples, result.outputs, strict=True):
        np.testing.assert_array_equal(negated, np.negative(given))
    assert result.cycles is not None and len(result.cycles) == 2
    assert result.stack_bytes > 0


def test_pyocd_passes_on_a_fault(played_board, tmp_path) -> None:
    from support.pyocd_probe import served
    from support.qemu_core import qemu_core

    mcu = write_aot_folder(tmp_path / "mcu", "*(volatile uint32_t *)0xF0000000u = 1u;")
    firmware = build_firmware(mcu, "toy", played_board)
    with (
        qemu_core("netduinoplus2", firmware.elf, tmp_path) as core,
        served(core) as probe,
    ):
        plan = plan_flash(firmware, "pyocd", probe)
        with pytest.raises(TidepoolError, match=r"faulted: BusFault.* in toy_invoke"):
            flash_and_run(plan, firmware, random_samples(1, 8), [int8_layout(8)], timeout=60)

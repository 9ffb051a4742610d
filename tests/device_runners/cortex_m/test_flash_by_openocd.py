"""OpenOCD itself, where it is installed: its files and commands, and a whole run on QEMU."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from support.aot_folder import NEGATE, int8_layout, random_samples, write_aot_folder
from support.jtag_port import jtag_port
from support.qemu_core import QemuCore, qemu_core

from converters.errors import TidepoolError
from device_runners.cortex_m import (
    Firmware,
    all_boards,
    build_firmware,
    find_board,
    flash_and_run,
    plan_flash,
)
from device_runners.cortex_m.board import FlashTool

pytestmark = pytest.mark.skipif(
    shutil.which("openocd") is None, reason="OpenOCD isn't installed (apt-get install openocd)"
)

# The flash is OpenOCD's own pretence: the memory behind it has the firmware already, for the check.
CONFIGURATION = """\
adapter driver remote_bitbang
remote_bitbang host localhost
remote_bitbang port {port}
jtag newtap chip cpu -irlen 4 -expected-id 0x4ba00477
dap create chip.dap -chain-position chip.cpu
target create chip.cpu cortex_m -dap chip.dap
cortex_m reset_config sysresetreq
flash bank chip.flash faux 0x08000000 0x80000 0 0 chip.cpu
"""


@pytest.fixture(scope="module")
def firmware(tmp_path_factory) -> Firmware:
    mcu = write_aot_folder(tmp_path_factory.mktemp("mcu"), NEGATE)
    return build_firmware(mcu, "toy", find_board("nucleo_f446re"))


@pytest.mark.parametrize(
    "board",
    [board for board in all_boards() if board.flash_tool and board.flash_tool.openocd],
    ids=lambda board: board.name,
)
def test_openocd_reads_the_boards_files_and_our_commands(board, firmware) -> None:
    plan = plan_flash(replace(firmware, board=board), "openocd", "123")
    for command in (plan.load, plan.run):
        # What comes before a connection is attempted, and then the end.
        first = next(index for index, word in enumerate(command) if word.startswith("adapter"))
        parsed = [*command[: first + 1], "-c", "shutdown"]
        result = subprocess.run(parsed, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr


def test_a_probe_that_is_not_there_is_told_so(firmware) -> None:
    plan = plan_flash(firmware, "openocd", "no such probe")
    with pytest.raises(TidepoolError, match="no debug probe is connected, or not the one"):
        flash_and_run(plan, firmware, random_samples(1, 8), [int8_layout(8)])


def put_into_memory(core: QemuCore, elf: Path) -> None:
    with elf.open("rb") as file:
        for segment in ELFFile(file).iter_segments():
            data = segment.data() if segment["p_type"] == "PT_LOAD" else b""
            for start in range(0, segment["p_filesz"] if data else 0, 256):
                core.write(segment["p_paddr"] + start, data[start : start + 256])


def run_by_openocd(firmware: Firmware, folder: Path, samples):
    with (
        qemu_core("netduinoplus2", firmware.elf, folder) as core,
        jtag_port(core) as port,
    ):
        put_into_memory(core, firmware.elf)
        configuration = folder / "played.cfg"
        configuration.write_text(CONFIGURATION.format(port=port))
        tool = FlashTool(pyocd_target="cortex_m", pyocd_builtin=True, openocd=(str(configuration),))
        board = firmware.board.model_copy(update={"flash_tool": tool})
        played = replace(firmware, board=board)
        plan = plan_flash(played, "openocd")
        return flash_and_run(plan, played, samples, [int8_layout(8)], timeout=60)


def test_openocd_programs_runs_and_serves_the_firmware(firmware, tmp_path) -> None:
    samples = random_samples(2, 8)
    result = run_by_openocd(firmware, tmp_path, samples)
    for (given,), (negated,) in zip(samples, result.outputs, strict=True):
        np.testing.assert_array_equal(negated, np.negative(given))
    assert result.cycles is not None and len(result.cycles) == 2
    assert result.stack_bytes > 0


def test_openocd_passes_on_a_fault(tmp_path) -> None:
    mcu = write_aot_folder(tmp_path / "mcu", "*(volatile uint32_t *)0xF0000000u = 1u;")
    faulty = build_firmware(mcu, "toy", find_board("nucleo_f446re"))
    with pytest.raises(TidepoolError, match=r"faulted: BusFault.* in toy_invoke"):
        run_by_openocd(faulty, tmp_path, random_samples(1, 8))

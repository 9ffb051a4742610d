"""Firmware for boards that no emulator stands behind: what the linker made of the memory map."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from support.aot_folder import INT8, NEGATE, int8_layout, random_samples, write_aot_folder

from converters.errors import TidepoolError
from device_runners.cortex_m import Board, all_boards, build_firmware, find_board, run_firmware
from device_runners.cortex_m.board import MemoryRegion

REAL_BOARDS = [board for board in all_boards() if board.flash_tool is not None]
RUN_BY_QEMU = [board for board in REAL_BOARDS if board.qemu is not None]

STARTUP_TABLE = "static uint8_t toy_seen[4] = {1, 2, 3, 4};\nstatic uint8_t toy_zero[8];"
USES_VARIABLES = """
    for (uint32_t i = 0; i < 8u; i++) {
        arena[16u + i] = (uint8_t)(toy_seen[i & 3u] + toy_zero[i]);
        toy_zero[i]++;
    }
    toy_seen[0] = (uint8_t)(toy_seen[0] + 10u);
"""


def by_name(board: Board) -> str:
    return board.name


def layout(elf_path) -> tuple[dict[str, MemoryRegion], dict[str, int], list[MemoryRegion], bytes]:
    """Sections, symbols, what is written to flash (load addresses), and the vector table."""
    with elf_path.open("rb") as file:
        elf = ELFFile(file)
        sections = {
            section.name: MemoryRegion(origin=section["sh_addr"], length=section["sh_size"])
            for section in elf.iter_sections()
            if section["sh_flags"] & 2 and section["sh_size"]
        }
        symbols = {
            symbol.name: symbol["st_value"]
            for symbol in elf.get_section_by_name(".symtab").iter_symbols()
        }
        loaded = [
            MemoryRegion(origin=segment["p_paddr"], length=segment["p_filesz"])
            for segment in elf.iter_segments()
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
        ]
        return sections, symbols, loaded, elf.get_section_by_name(".vectors").data()


@pytest.mark.slow
@pytest.mark.parametrize("board", REAL_BOARDS, ids=by_name)
def test_every_section_lies_in_the_boards_memory(tmp_path, board) -> None:
    write_aot_folder(tmp_path, USES_VARIABLES, declarations=STARTUP_TABLE, arena_bytes=20_000)
    firmware = build_firmware(tmp_path, "toy", board)
    sections, symbols, loaded, vectors = layout(firmware.elf)
    memory = board.memory

    assert sections[".vectors"].origin == memory.vectors.origin
    for name in (".text", ".rodata"):
        assert memory.flash.holds(sections[name])
    for name in (".stack", ".data", ".arena", ".bss"):
        assert memory.ram.holds(sections[name])
    assert sections[".arena"].length == 20_000
    assert sections[".stack"].origin == memory.ram.origin, "an overflow has to leave the RAM"

    flashes = [region for region in board.regions if region.kind == "flash"]
    for segment in loaded:
        assert any(region.holds(segment) for region in flashes), hex(segment.origin)

    stack, reset, *faults = struct.unpack_from("<7I", vectors)
    assert stack == symbols["__stack_top"]
    assert reset == symbols["Reset_Handler"] | 1
    assert set(faults) == {symbols["Fault_Handler"] | 1}
    words = struct.unpack_from(f"<{len(board.boot_words)}I", vectors, 64)
    assert words == board.boot_words
    assert len(vectors) == 64 + 4 * len(board.boot_words)


def test_the_boot_rom_of_the_pico_finds_its_block_in_the_first_4_kb() -> None:
    pico = find_board("rpi_pico2")
    # Start marker, IMAGE_TYPE (executable, secure, Arm, RP2350), LAST, offset 0 to itself, end.
    assert pico.boot_words[0] == 0xFFFFDED3
    item, size, flags = pico.boot_words[1] & 0xFF, pico.boot_words[1] >> 8 & 0xFF, 0x1021
    assert (item, size, pico.boot_words[1] >> 16) == (0x42, 1, flags)
    assert pico.boot_words[2:4] == (0x000001FF, 0)
    assert pico.boot_words[-1] == 0xAB123579
    assert 64 + 4 * len(pico.boot_words) <= pico.memory.vectors.length


@pytest.mark.parametrize("board", RUN_BY_QEMU, ids=by_name)
def test_a_real_boards_image_runs_where_qemu_has_a_machine_for_it(tmp_path, board) -> None:
    write_aot_folder(tmp_path, NEGATE)
    firmware = build_firmware(tmp_path, "toy", board)
    samples = random_samples(3, 8)
    result = run_firmware(firmware, samples, [int8_layout(8)])
    for outputs, inputs in zip(result.outputs, samples, strict=True):
        np.testing.assert_array_equal(outputs[0], -inputs[0])
        assert outputs[0].dtype == INT8
    assert result.machine == board.qemu.machine
    assert result.emulator == "qemu"


def test_initialized_variables_reach_the_ram_of_a_real_board(tmp_path) -> None:
    write_aot_folder(tmp_path, USES_VARIABLES, declarations=STARTUP_TABLE)
    firmware = build_firmware(tmp_path, "toy", find_board("nucleo_f446re"))
    result = run_firmware(firmware, random_samples(2, 8), [int8_layout(8)])
    first, second = (outputs[0].ravel().tolist() for outputs in result.outputs)
    assert first == [1, 2, 3, 4] * 2
    assert second == [12, 3, 4, 5] * 2


def test_a_board_without_a_machine_says_what_runs_instead(tmp_path) -> None:
    write_aot_folder(tmp_path, NEGATE)
    firmware = build_firmware(tmp_path, "toy", find_board("nucleo_l4r5zi"))
    with pytest.raises(TidepoolError, match="no machine for the board nucleo_l4r5zi") as error:
        run_firmware(firmware, random_samples(1, 8), [int8_layout(8)])
    for word in ("cortex-m4", "mps2-an386", "Renode"):
        assert word in error.value.hint


def test_a_model_too_large_for_a_board_is_named_by_the_linker(tmp_path) -> None:
    write_aot_folder(tmp_path, NEGATE, arena_bytes=131_072)
    with pytest.raises(TidepoolError, match=r"RAM.* overflowed|will not fit in region .RAM"):
        build_firmware(tmp_path, "toy", find_board("nucleo_f446re"))

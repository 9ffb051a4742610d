"""Boards and the cores they stand for."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from converters.errors import TidepoolError
from device_runners.cortex_m import (
    BOARD_HEADINGS,
    CORES,
    all_boards,
    board_details,
    board_json,
    board_rows,
    boards_page,
    emulated_board,
    find_board,
)
from device_runners.cortex_m.board import BOARDS_DIRECTORY, largest_ram, read_board

REAL_BOARDS = [
    "nucleo_l4r5zi",
    "nucleo_f446re",
    "nucleo_f746zg",
    "stm32f746g_disco",
    "nucleo_h743zi",
    "nucleo_u575zi_q",
    "nrf52840dk",
    "nrf5340dk",
    "rpi_pico2",
    "arduino_nano_33_ble",
    "arduino_portenta_h7",
    "alif_e7_hp",
]

every_board = pytest.mark.parametrize("board", all_boards(), ids=lambda board: board.name)


@pytest.mark.parametrize("core", CORES)
def test_a_core_stands_for_a_board_with_that_core(core: str) -> None:
    assert find_board(core).core == core


def test_a_board_is_found_by_its_own_name() -> None:
    assert find_board("mps3-an547").core == "cortex-m55"


def test_an_unknown_core_names_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(TidepoolError) as error:
        find_board("cortex-m44")
    assert "cortex-m44" in error.value.message
    assert "Did you mean cortex-m4" in error.value.hint
    for name in [*CORES, *(board.name for board in all_boards())]:
        assert name in error.value.hint


def test_emulated_machines_and_real_boards_are_there() -> None:
    assert {board.name for board in all_boards()} == {*CORES.values(), *REAL_BOARDS}
    for board in all_boards():
        assert (board.flash_tool is not None) == (board.name in REAL_BOARDS)


@every_board
def test_the_arena_gets_the_largest_piece_of_ram(board) -> None:
    assert board.memory.ram == largest_ram(board.regions)
    assert board.ram_regions


@every_board
def test_vector_table_code_and_ram_lie_apart_and_in_the_right_kind_of_memory(board) -> None:
    memory = board.memory
    assert memory.vectors.end <= memory.flash.origin
    flashes = [region for region in board.regions if not region.is_ram and region.ready]
    assert any(region.holds(memory.vectors) for region in flashes)
    assert any(region.holds(memory.flash) for region in flashes)
    # VTOR ignores the lowest seven bits.
    assert memory.vectors.origin % 128 == 0
    if board.name in REAL_BOARDS:
        assert memory.vectors.end == memory.flash.origin
        assert any(region.end == memory.flash.end for region in flashes) or "M4" in board.note


@every_board
def test_flags_give_the_compiler_the_extensions_that_the_board_has(board) -> None:
    command = ["arm-none-eabi-gcc", *board.gcc_flags, "-dM", "-E", "-x", "c", "/dev/null"]
    macros = dict(
        re.findall(
            r"#define (\w+) (.+)", subprocess.run(command, capture_output=True, text=True).stdout
        )
    )
    fpu = int(macros.get("__ARM_FP", "0"), 0)
    assert board.fpu == ("double" if fpu & 8 else "single" if fpu & 4 else "none")
    assert board.dsp == ("__ARM_FEATURE_DSP" in macros)
    mve = int(macros.get("__ARM_FEATURE_MVE", "0"), 0)
    assert board.mve == ("float" if mve & 2 else "integer" if mve & 1 else "none")
    assert f"-mcpu={board.core}" in board.gcc_flags


def test_boards_of_a_core_differ_only_by_their_fpu_in_flags_and_tflm_library() -> None:
    flags = {}
    for board in all_boards():
        key = (board.core, board.fpu)
        assert flags.setdefault(key, (board.gcc_flags, board.tflm_target_arch)) == (
            board.gcc_flags,
            board.tflm_target_arch,
        )
    assert len(flags) == 6


def test_flash_behind_a_boot_loader_is_not_counted() -> None:
    nano, chip = find_board("arduino_nano_33_ble"), find_board("nrf52840dk")
    assert chip.flash_bytes - nano.flash_bytes == nano.memory.vectors.origin == 0x10000
    assert nano.ram_bytes == chip.ram_bytes


def test_memory_that_has_to_be_set_up_first_is_not_used() -> None:
    disco, nucleo = find_board("stm32f746g_disco"), find_board("nucleo_f746zg")
    assert [region.name for region in disco.regions if not region.ready] == ["sdram"]
    assert disco.memory == nucleo.memory
    assert disco.ram_regions == ("dtcm", "sram1", "sram2")


def test_a_board_is_emulated_as_itself_or_as_its_core() -> None:
    assert emulated_board(find_board("nucleo_f446re")).name == "nucleo_f446re"
    for board in all_boards():
        emulated = emulated_board(board)
        assert emulated.qemu is not None
        assert emulated.core == board.core
    assert emulated_board(find_board("alif_e7_hp")).name == "mps3-an547"


def test_rows_details_json_and_page_have_every_board() -> None:
    rows = board_rows(all_boards())
    assert [row[0] for row in rows] == [board.name for board in all_boards()]
    assert {len(row) for row in rows} == {len(BOARD_HEADINGS)}
    content = json.loads(board_json(all_boards()))
    page = boards_page()
    for board, entry in zip(all_boards(), content, strict=True):
        assert entry["name"] == board.name
        assert entry["memory"]["ram"]["origin"] == board.memory.ram.origin
        assert (entry["flash_bytes"], entry["ram_bytes"]) == (board.flash_bytes, board.ram_bytes)
        assert json.loads(board_json(board)) == entry
        assert f"## {board.name}\n" in page
        shown = board_details(board)
        for source in (*board.sources, *board.checked_with):
            assert source in page
            assert any(source == value for _, value in shown)
        for region in board.regions:
            assert f"| {region.name} | {region.kind} | 0x{region.origin:08X} |" in page


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("clock_hz", "clock_khz", "clock_hz"),
        ("length = 0x400\n", "length = -4\n", "memory.vectors.length"),
        ("[memory.ram]", "[memory.ram", "can't be read"),
        ('name = "mps2-an386"', 'name = "other"', "other"),
        ('core = "cortex-m4"\n', "", "core: Field required"),
        ('fpu = "single"', 'fpu = "half"', "fpu"),
        ('machine = "mps2-an386"', 'machine = "x"\nspeed = 1', "qemu.speed"),
        (
            "origin = 0x20000000\nlength = 0x00400000\n\n[[",
            "origin = 0x20000000\nlength = 0x00400001\n\n[[",
            r"memory\.ram lies in no region",
        ),
        (
            'name = "ssram23"\nkind = "sram"\norigin = 0x20000000',
            'name = "ssram23"\nkind = "sram"\norigin = 0x00200000',
            "ssram1 and ssram23 overlap",
        ),
    ],
)
def test_a_broken_board_file_is_one_clear_error(tmp_path, old, new, named) -> None:
    text = (BOARDS_DIRECTORY / "mps2-an386.toml").read_text()
    assert old in text
    path = tmp_path / "mps2-an386.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(TidepoolError, match=named) as error:
        read_board(path)
    assert str(path) in error.value.message

"""Boards and the cores they stand for."""

from __future__ import annotations

import itertools

import pytest

from converters.errors import TidepoolError
from device_runners.cortex_m import CORES, all_boards, find_board
from device_runners.cortex_m.board import BOARDS_DIRECTORY, read_board


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


@pytest.mark.parametrize("board", all_boards(), ids=lambda board: board.name)
def test_memory_regions_of_a_board_do_not_overlap(board) -> None:
    regions = [board.memory.vectors, board.memory.flash, board.memory.ram]
    regions.sort(key=lambda region: region.origin)
    for lower, upper in itertools.pairwise(regions):
        assert lower.origin + lower.length <= upper.origin


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("clock_hz", "clock_khz", "clock_hz"),
        ("length = 0x400\n", "length = -4\n", "memory.vectors.length"),
        ("[memory.ram]", "[memory.ram", "can't be read"),
        ('name = "mps2-an386"', 'name = "other"', "other"),
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

"""Whether a model fits boards: measured on a link, compared with their memory."""

from __future__ import annotations

import json

import pytest
from support.aot_folder import NEGATE, write_aot_folder

from converters.errors import TidepoolError
from device_runners.cortex_m import (
    FIT_HEADINGS,
    Footprint,
    all_boards,
    build_firmware,
    find_board,
    fit,
    measure_sizes,
)
from device_runners.cortex_m.fit import STACK_RESERVE_BYTES, BoardFit

F446, NRF52, L4R5 = (find_board(n) for n in ("nucleo_f446re", "nrf52840dk", "nucleo_l4r5zi"))

TABLE = "const uint8_t toy_table[3000] = {1};\nstatic uint8_t seen[16] = {1};"
USES_TABLE = "arena[16] = (uint8_t)(toy_table[arena[0]] + seen[arena[1] & 15u]++);"


def test_a_footprint_is_what_a_link_for_the_board_measures(tmp_path) -> None:
    write_aot_folder(tmp_path, USES_TABLE, declarations=TABLE, arena_bytes=4096)
    report = fit(tmp_path, "toy", [F446, find_board("cortex-m55")])
    for each in report.boards:
        sizes = measure_sizes(build_firmware(tmp_path, "toy", each.board))
        assert each.footprint == Footprint(
            text_bytes=sizes.text_bytes,
            rodata_bytes=3000,
            data_bytes=16,
            bss_bytes=0,
            arena_bytes=4096,
            stack_bytes=STACK_RESERVE_BYTES,
        )
        assert each.footprint.flash_bytes == sizes.text_bytes + 3000 + 16
        assert each.footprint.ram_bytes == 4096 + 16 + STACK_RESERVE_BYTES
        assert each.fits
        assert each.verdict == "fits"
        assert each.flash_left == each.board.flash_bytes - each.footprint.flash_bytes


def test_nothing_is_written_beside_the_sources(tmp_path) -> None:
    write_aot_folder(tmp_path, NEGATE)
    fit(tmp_path, "toy", [F446])
    assert [path.name for path in tmp_path.iterdir()] == ["aot"]


def test_what_a_board_lacks_is_told_to_the_byte(tmp_path) -> None:
    # More RAM than the F446RE and the nRF52840 have in one piece, and more flash than the first.
    table = "const uint8_t toy_table[600000] = {1};"
    invoke = "arena[16] = toy_table[arena[0]];"
    write_aot_folder(tmp_path, invoke, declarations=table, arena_bytes=300_000)
    report = fit(tmp_path, "toy", [F446, NRF52, L4R5])
    small, middle, large = report.boards
    ram = 300_000 + STACK_RESERVE_BYTES
    assert small.footprint is not None
    flash = small.footprint.flash_bytes
    assert small.verdict == (
        f"lacks {flash - 512 * 1024:,} bytes of flash and {ram - 128 * 1024:,} bytes of RAM"
    )
    assert middle.verdict == f"lacks {ram - 256 * 1024:,} bytes of RAM"
    assert large.verdict == "fits"
    assert report.fitting == ("nucleo_l4r5zi",)
    assert [row[-1] for row in report.rows()] == [each.verdict for each in report.boards]


@pytest.mark.parametrize(("arena", "fits"), [(129_024, True), (129_040, False)])
def test_the_last_byte_counts(tmp_path, arena, fits) -> None:
    # 128 KB less the reserve for the stack is 129,024.
    write_aot_folder(tmp_path, NEGATE, arena_bytes=arena)
    assert fit(tmp_path, "toy", [F446]).boards[0].fits is fits


def test_one_link_serves_all_boards_with_the_same_flags(tmp_path) -> None:
    write_aot_folder(tmp_path, NEGATE)
    seen: list[tuple[int, int | None]] = []
    report = fit(
        tmp_path,
        "toy",
        [F446, NRF52, L4R5, find_board("cortex-m4")],
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(0, 1), (1, 1)]
    assert len({each.footprint for each in report.boards}) == 1


def test_the_reserve_for_the_stack_is_the_callers_choice(tmp_path) -> None:
    write_aot_folder(tmp_path, NEGATE)
    report = fit(tmp_path, "toy", [F446], stack_bytes=F446.ram_bytes)
    assert report.boards[0].verdict == "lacks 32 bytes of RAM"


def test_rows_and_json_say_the_same(tmp_path) -> None:
    write_aot_folder(tmp_path, NEGATE)
    report = fit(tmp_path, "toy", [F446, NRF52])
    content = json.loads(report.to_json())
    assert content["model"] == "toy"
    assert content["runtime"] == "aot"
    assert content["fits"] == ["nucleo_f446re", "nrf52840dk"]
    for row, entry in zip(report.rows(), content["boards"], strict=True):
        assert len(row) == len(FIT_HEADINGS)
        assert row[0] == entry["board"]
        assert row[2] == f"{entry['flash_used']:,}"
        assert row[5] == f"{entry['ram_used']:,}"
        assert row[8] == ", ".join(entry["ram_regions"])
        assert entry["ram_used"] + entry["ram_left"] == entry["ram_available"]
        assert entry["flash_used"] + entry["flash_left"] == entry["flash_available"]
        parts = entry["footprint"]
        assert entry["flash_used"] == sum(
            parts[name] for name in ("text_bytes", "rodata_bytes", "data_bytes")
        )


def test_sources_that_are_missing_are_an_error(tmp_path) -> None:
    with pytest.raises(TidepoolError, match=r"neither aot/toy\.h"):
        fit(tmp_path, "toy", [F446, NRF52])


def test_a_core_that_cannot_be_linked_does_not_hide_the_others(tmp_path) -> None:
    only_m4 = "#if __ARM_ARCH != 7\n#error not for this core\n#endif"
    write_aot_folder(tmp_path, NEGATE, declarations=only_m4)
    report = fit(tmp_path, "toy", [find_board("nrf5340dk"), F446])
    failed, linked = report.boards
    assert linked.fits
    assert not failed.fits
    assert failed.footprint is None
    assert "not for this core" in failed.verdict
    assert report.fitting == ("nucleo_f446re",)
    assert len(report.rows()[0]) == len(FIT_HEADINGS)
    assert "footprint" not in json.loads(report.to_json())["boards"][0]


def test_every_board_has_a_verdict_that_follows_from_its_memory() -> None:
    footprint = Footprint(10_000, 600_000, 4, 8, 200_000, STACK_RESERVE_BYTES)
    for board in all_boards():
        each = BoardFit(board, footprint)
        assert each.fits == (board.flash_bytes >= 610_004 and board.ram_bytes >= 202_060)
        assert each.fits == (each.verdict == "fits")
    assert not BoardFit(F446, footprint).fits

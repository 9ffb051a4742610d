"""Bytes of the image and of the runtime's share of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.aot_folder import NEGATE, write_aot_folder

from converters.errors import TidepoolError
from device_runners.cortex_m import CORES, Sizes, build_firmware, find_board, measure_sizes
from device_runners.cortex_m.image import read_image
from device_runners.cortex_m.sizes import _input_sections

TABLE = "const uint8_t toy_table[1000] = {1, 2, 3};\nconst int32_t toy_more[25] = {4};"
USES_TABLE = "arena[16] = (uint8_t)(toy_table[arena[0]] + toy_more[arena[1] % 25u]);"


def sizes_of(directory: Path, core: str, invoke: str, **options) -> Sizes:
    write_aot_folder(directory, invoke, **options)
    return measure_sizes(build_firmware(directory, "toy", find_board(core)))


@pytest.mark.parametrize("core", CORES)
def test_text_is_exactly_the_models_functions(tmp_path, core) -> None:
    invoke = '__asm__ volatile(".rept 101\\n nop\\n .endr\\n bx lr");'
    declarations = "__attribute__((naked)) void toy_invoke(uint8_t *arena);"
    sizes = sizes_of(tmp_path, core, invoke, declarations=declarations)
    assert sizes.text_bytes == 101 * 2 + 2
    assert sizes.rodata_bytes == 0
    assert sizes.objects == {"toy.c": 204}


@pytest.mark.parametrize("core", CORES)
def test_constants_and_arena_are_exact(tmp_path, core) -> None:
    sizes = sizes_of(tmp_path, core, USES_TABLE, declarations=TABLE, arena_bytes=4096)
    assert sizes.rodata_bytes == 1000 + 100
    assert sizes.arena_bytes == 4096
    assert sizes.sections[".arena"] == 4096
    assert sizes.data_bytes == 0
    assert sizes.bss_bytes == 0


def test_unused_kernels_are_not_in_the_image(tmp_path) -> None:
    declarations = "uint32_t unused(uint32_t x);\nuint32_t unused(uint32_t x) { return x * 7u; }"
    with_unused = sizes_of(tmp_path / "a", "cortex-m4", NEGATE, declarations=declarations)
    without = sizes_of(tmp_path / "b", "cortex-m4", NEGATE)
    assert with_unused.text_bytes == without.text_bytes


def test_library_functions_that_the_model_needs_are_its_own(tmp_path) -> None:
    divide = "uint64_t big = arena[0] + 1u; arena[16] = (uint8_t)(0x123456789ABCDEFull / big);"
    with_library = sizes_of(tmp_path / "a", "cortex-m3", divide)
    without = sizes_of(tmp_path / "b", "cortex-m3", NEGATE)
    assert any("libgcc.a" in name for name in with_library.objects)
    assert not any(".a(" in name for name in without.objects), "the harness needs no library"
    assert with_library.text_bytes > 500


def test_shares_and_harness_add_up_to_the_image(tmp_path) -> None:
    write_aot_folder(tmp_path, USES_TABLE, declarations=TABLE)
    firmware = build_firmware(tmp_path, "toy", find_board("cortex-m4"))
    sizes = measure_sizes(firmware)
    every_section = list(_input_sections(firmware.map_file))
    for name in (".text", ".rodata"):
        total = sum(each.size for each in every_section if each.output == name)
        # The rest is padding between input sections.
        assert 0 <= sizes.sections[name] - total < 16 * len(every_section)
        assert total > 500
    assert sizes.flash_bytes == sum(
        sizes.sections[name] for name in (".vectors", ".text", ".rodata", ".data")
    ) + sizes.sections.get(".init_array", 0)
    assert sizes.ram_bytes > 16384 + 32


def test_a_file_that_is_no_image_or_map_is_one_clear_error(tmp_path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"not an ELF file")
    with pytest.raises(TidepoolError, match="junk"):
        read_image(junk)
    with pytest.raises(TidepoolError, match=r"missing\.elf"):
        read_image(tmp_path / "missing.elf")
    with pytest.raises(TidepoolError, match="no map file"):
        list(_input_sections(junk))

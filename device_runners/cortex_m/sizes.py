"""Flash and RAM of a firmware: the whole image, and the runtime's share of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from converters.errors import TidepoolError
from device_runners.cortex_m.firmware import Firmware
from device_runners.cortex_m.image import read_image

# The object folder of the harness's own sources in the map file (target `firmware` of the project).
_HARNESS_OBJECTS = "CMakeFiles/firmware.dir/"
_MEMORY_MAP_TITLE = "Linker script and memory map"
_INPUT_SECTION = re.compile(
    r"^ (?P<name>\.\S+)\s+0x(?P<address>[0-9a-f]+)\s+0x(?P<size>[0-9a-f]+) (?P<object>\S.*)$"
)


@dataclass(frozen=True)
class Sizes:
    """Bytes of a firmware.

    The runtime is what a product would link: the model, its kernels (and with TFLM the
    interpreter), and what these pull in of the C library. The harness (start-up, files, measuring)
    calls no library function and isn't part of it. Shares are sums over the linker's input
    sections; the few bytes of padding between them belong to nobody.

    Attributes:
        text_bytes: Executable code of the runtime.
        rodata_bytes: Constants of the runtime: weights, tables, the flatbuffer.
        data_bytes: Initialized variables of the runtime (flash and RAM).
        bss_bytes: Zeroed variables of the runtime, without the arena.
        arena_bytes: The arena's section.
        sections: Every section of the whole image, by name.
        objects: Code and constants in flash, by object file of the runtime.
    """

    text_bytes: int
    rodata_bytes: int
    data_bytes: int
    bss_bytes: int
    arena_bytes: int
    sections: dict[str, int]
    objects: dict[str, int]

    @property
    def flash_bytes(self) -> int:
        """What the whole image takes of the flash, harness and vector table included."""
        in_flash = (".vectors", ".text", ".rodata", ".init_array", ".data")
        return sum(self.sections.get(name, 0) for name in in_flash)

    @property
    def ram_bytes(self) -> int:
        """What the whole image reserves of the RAM: variables, arena, stack."""
        in_ram = (".data", ".bss", ".arena", ".stack")
        return sum(self.sections.get(name, 0) for name in in_ram)


@dataclass(frozen=True)
class _InputSection:
    output: str
    size: int
    object_file: str


def measure_sizes(firmware: Firmware) -> Sizes:
    """Measures a firmware that was built.

    Raises:
        TidepoolError: The image or the map file is missing or isn't one.
    """
    sections = read_image(firmware.elf).sections
    runtime = [
        each
        for each in _input_sections(firmware.map_file)
        if _HARNESS_OBJECTS not in each.object_file
    ]

    def share(output: str) -> int:
        return sum(each.size for each in runtime if each.output == output)

    objects: dict[str, int] = {}
    for each in runtime:
        if each.output in (".text", ".rodata") and each.size:
            name = _short_name(each.object_file)
            objects[name] = objects.get(name, 0) + each.size
    return Sizes(
        text_bytes=share(".text"),
        rodata_bytes=share(".rodata"),
        data_bytes=share(".data"),
        bss_bytes=share(".bss"),
        arena_bytes=sections.get(".arena", 0),
        sections=sections,
        objects=dict(sorted(objects.items())),
    )


def _input_sections(map_file: Path) -> Iterator[_InputSection]:
    """The input sections that were kept, from a map of GNU ld."""
    try:
        text = map_file.read_text(errors="replace")
    except OSError as error:
        raise TidepoolError(f"{map_file}: the linker's map can't be read: {error}") from error
    _, title, memory_map = text.partition(_MEMORY_MAP_TITLE)
    if not title:
        raise TidepoolError(f"{map_file}: no map file of GNU ld")
    # A name of more than 14 characters has its figures on the next line.
    memory_map = re.sub(r"^( \.\S+)\n\s+0x", r"\1 0x", memory_map, flags=re.MULTILINE)
    output = ""
    for line in memory_map.splitlines():
        if line[:1] not in ("", " "):
            output = line.split()[0]
        elif match := _INPUT_SECTION.match(line):
            yield _InputSection(output, int(match["size"], 16), match["object"])


def _short_name(object_file: str) -> str:
    """``memcpy.o`` of ``.../libc_nano.a(memcpy.o)``; ``kws.c`` of ``.../aot/kws.c.obj``."""
    member = re.search(r"([^/]+\.a)\((.+)\)$", object_file)
    if member:
        return f"{member[1]}({member[2]})"
    return Path(object_file).name.removesuffix(".obj")

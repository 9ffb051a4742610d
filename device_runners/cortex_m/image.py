"""What an ELF image says of itself: symbols, functions, sections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from converters.errors import TidepoolError


@dataclass(frozen=True)
class Function:
    """A function in the image; ``address`` is without the Thumb bit."""

    name: str
    address: int
    bytes: int


@dataclass(frozen=True)
class Image:
    """The parts of an ELF file that matter here.

    Attributes:
        sections: Bytes of each section that takes memory, by name.
        functions: All functions, by rising address.
    """

    sections: dict[str, int]
    functions: tuple[Function, ...]

    def function(self, name: str) -> Function:
        """The function of this name.

        Raises:
            TidepoolError: There is none.
        """
        for function in self.functions:
            if function.name == name:
                return function
        raise TidepoolError(f"the firmware has no function {name}")

    def function_at(self, address: int) -> Function | None:
        """The function whose code holds an address, or None."""
        address &= ~1
        for function in self.functions:
            if function.address <= address < function.address + function.bytes:
                return function
        return None


def read_image(path: Path) -> Image:
    """Reads an ELF file.

    Raises:
        TidepoolError: The file is missing or isn't an ELF file.
    """
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            # SHF_ALLOC: debug information has sections too, which no memory holds.
            sections = {
                section.name: int(section["sh_size"])
                for section in elf.iter_sections()
                if section["sh_flags"] & 0x2
            }
            functions = [
                Function(symbol.name, symbol["st_value"] & ~1, symbol["st_size"])
                for table in elf.iter_sections()
                if isinstance(table, SymbolTableSection)
                for symbol in table.iter_symbols()
                if symbol["st_info"]["type"] == "STT_FUNC"
            ]
    except (OSError, ELFError) as error:
        raise TidepoolError(f"{path}: can't be read as a firmware image: {error}") from error
    return Image(sections, tuple(sorted(functions, key=lambda each: (each.address, each.name))))

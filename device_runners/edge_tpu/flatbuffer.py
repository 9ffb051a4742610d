"""Reads flatbuffers without a schema, checking every offset and every length before it follows it.

Python's flatbuffers has no verifier, and compiled models come from anywhere: an offset may lead
out of the buffer or back to a table seen before, a length may promise four billion elements, and
many entries may share one table so that a small file unfolds into a huge one. Here the first two
are errors, and a ``WorkLimit`` bounds the third.

Binary layout: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from converters.errors import TidepoolError

_I8 = struct.Struct("<b")
_U16 = struct.Struct("<H")
_I16 = struct.Struct("<h")
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_I64 = struct.Struct("<q")
_U64 = struct.Struct("<Q")
_F32 = struct.Struct("<f")

TEXT_UNIT = 16
"""Bytes of text that cost as much as one table."""


class WorkLimit:
    """An allowance of tables, elements and text to read, shared by all buffers of one file.

    Args:
        units: How much may be read; one unit is a table, a vector's element or 16 bytes of text.
    """

    def __init__(self, units: int) -> None:
        self._units = units
        self._left = units

    def spend(self, units: int) -> None:
        """Takes from the allowance; raises a ``TidepoolError`` when it is used up."""
        self._left -= units
        if self._left < 0:
            raise TidepoolError(f"it unfolds into more than {self._units} tables and elements")


@dataclass(frozen=True)
class Table:
    """A table at a position of a buffer that holds all of its vtable and its fields.

    Fields are asked for by their number, the order of their declaration in the schema. A field
    that the file leaves out has its default value. Every method raises a ``TidepoolError`` for
    what lies outside the buffer.

    Attributes:
        buffer: The whole flatbuffer.
        position: Where the table starts.
        vtable: Where its vtable starts.
        fields: How many fields the vtable has a place for.
        limit: What may still be read.
    """

    buffer: memoryview
    position: int
    vtable: int
    fields: int
    limit: WorkLimit

    def i16(self, field: int, default: int = 0) -> int:
        return self._integer(_I16, field, default)

    def i32(self, field: int, default: int = 0) -> int:
        return self._integer(_I32, field, default)

    def i64(self, field: int, default: int = 0) -> int:
        return self._integer(_I64, field, default)

    def u64(self, field: int, default: int = 0) -> int:
        return self._integer(_U64, field, default)

    def boolean(self, field: int, default: bool = False) -> bool:
        return bool(self._integer(_I8, field, int(default)))

    def f32(self, field: int, default: float = 0.0) -> float:
        at = self._locate(field)
        return default if at is None else float(_unpack(_F32, self.buffer, at))

    def text(self, field: int) -> str:
        """A string that is safe to show; empty when the field is absent."""
        raw = self.bytes(field)
        self.limit.spend(len(raw) // TEXT_UNIT)
        return printable(bytes(raw))

    def bytes(self, field: int) -> memoryview:
        """A string's or a byte vector's content, not copied; empty when the field is absent."""
        at = self._locate(field)
        if at is None:
            return self.buffer[:0]
        return _sized(self.buffer, _follow(self.buffer, at))

    def table(self, field: int) -> Table | None:
        at = self._locate(field)
        return None if at is None else _table(self.buffer, _follow(self.buffer, at), self.limit)

    def tables(self, field: int) -> Iterator[Table]:
        """The tables of a vector of tables."""
        for at in self._elements(field, _U32.size):
            yield _table(self.buffer, _follow(self.buffer, at), self.limit)

    def strings(self, field: int) -> Iterator[memoryview]:
        """The contents of a vector of strings, not copied."""
        for at in self._elements(field, _U32.size):
            yield _sized(self.buffer, _follow(self.buffer, at))

    def i32_pairs(self, field: int) -> Iterator[tuple[int, int]]:
        """A vector of structs of two int32."""
        for at in self._elements(field, 2 * _I32.size):
            first = int(_unpack(_I32, self.buffer, at))
            yield first, int(_unpack(_I32, self.buffer, at + _I32.size))

    def _elements(self, field: int, size: int) -> Iterator[int]:
        at = self._locate(field)
        if at is None:
            return
        vector = _follow(self.buffer, at)
        count = int(_unpack(_U32, self.buffer, vector))
        first = vector + _U32.size
        if count * size > len(self.buffer) - first:
            raise TidepoolError(
                f"a vector of {count} elements at {vector} exceeds the {len(self.buffer)} bytes"
            )
        for position in range(first, first + count * size, size):
            self.limit.spend(1)
            yield position

    def _integer(self, format_: struct.Struct, field: int, default: int) -> int:
        at = self._locate(field)
        return default if at is None else int(_unpack(format_, self.buffer, at))

    def _locate(self, field: int) -> int | None:
        if field >= self.fields:
            return None
        offset = int(_unpack(_U16, self.buffer, self.vtable + 4 + 2 * field))
        return self.position + offset if offset else None


def root_table(buffer: memoryview, limit: WorkLimit, identifier: bytes = b"") -> Table:
    """The root table of a flatbuffer.

    Args:
        buffer: The flatbuffer, whole.
        limit: What may be read of it.
        identifier: The four bytes of its file identifier; empty to take any.

    Raises:
        TidepoolError: The identifier is another one, or the root table lies outside the buffer.
    """
    found = bytes(buffer[4:8])
    if identifier and found != identifier:
        raise TidepoolError(f"its file identifier is {found!r}, not {identifier.decode()!r}")
    return _table(buffer, _follow(buffer, 0), limit)


def printable(raw: bytes) -> str:
    """Text as a terminal may show it: what is not printable, or not UTF-8, becomes escapes."""
    text = raw.decode("utf-8", errors="backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _table(buffer: memoryview, position: int, limit: WorkLimit) -> Table:
    limit.spend(1)
    vtable = position - int(_unpack(_I32, buffer, position))
    size = int(_unpack(_U16, buffer, vtable))
    if size < 4 or size % 2 or vtable + size > len(buffer):
        raise TidepoolError(f"the vtable at {vtable} has {size} bytes")
    return Table(buffer, position, vtable, (size - 4) // 2, limit)


def _follow(buffer: memoryview, at: int) -> int:
    offset = int(_unpack(_U32, buffer, at))
    # Offsets count from their own place and point forwards; zero would point at itself.
    if offset == 0 or at + offset >= len(buffer):
        raise TidepoolError(f"the offset {offset} at {at} leads out of {len(buffer)} bytes")
    return at + offset


def _sized(buffer: memoryview, at: int) -> memoryview:
    length = int(_unpack(_U32, buffer, at))
    start = at + _U32.size
    if length > len(buffer) - start:
        raise TidepoolError(f"{length} bytes at {start} exceed the buffer's {len(buffer)}")
    return buffer[start : start + length]


def _unpack(format_: struct.Struct, buffer: memoryview, at: int) -> int | float:
    # struct takes negative positions as counted from the end.
    if at < 0 or at + format_.size > len(buffer):
        raise TidepoolError(f"{format_.size} bytes at {at} lie outside {len(buffer)} bytes")
    value: int | float = format_.unpack_from(buffer, at)[0]
    return value

"""Reads the FlexBuffer map in the Edge TPU's custom ops, checking every offset and length.

The reader of the flatbuffers package decodes strings as UTF-8, which a package is not, and
follows offsets unchecked; its type codes are used here.

Binary layout: https://flatbuffers.dev/flatbuffers_internals/ ("FlexBuffers")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flatbuffers.flexbuffers import Type

from converters.errors import TidepoolError
from device_runners.edge_tpu.flatbuffer import WorkLimit

_MAX_KEY = 64  # bytes; the keys are digits

Scalar = int | memoryview
"""An integer, or a string's or a blob's bytes."""


@dataclass(frozen=True)
class FlexMap:
    """The values of a map, by key.

    Attributes:
        values: Integers (booleans are integers), and contents of strings and blobs, not copied.
        vectors: Vectors of such values.
    """

    values: dict[str, Scalar]
    vectors: dict[str, tuple[Scalar, ...]]

    def integer(self, key: str, default: int = 0) -> int:
        value = self.values.get(key, default)
        if not isinstance(value, int):
            raise TidepoolError(f"the value of key {key!r} is text, not an integer")
        return value

    def content(self, key: str) -> memoryview | None:
        value = self.values.get(key)
        if isinstance(value, int):
            raise TidepoolError(f"the value of key {key!r} is the integer {value}, not bytes")
        return value


def read_map(data: bytes, limit: WorkLimit) -> FlexMap:
    """Reads a FlexBuffer whose root is a map of integers, strings, blobs and vectors of these.

    Args:
        data: The buffer.
        limit: How many keys and elements may be read.

    Returns:
        What the map holds. Values of other types (floats, nested maps) are left out.

    Raises:
        TidepoolError: The root is no map, or something lies outside the buffer.
    """
    return _FlexReader(memoryview(data), limit).map()


@dataclass(frozen=True)
class _FlexReader:
    buffer: memoryview
    limit: WorkLimit

    def map(self) -> FlexMap:
        size = len(self.buffer)
        if size < 3:
            raise TidepoolError(f"the options of the custom op have {size} bytes")
        width, kind = self.buffer[size - 1], self.buffer[size - 2]
        if width not in (1, 2, 4, 8) or kind >> 2 != Type.MAP:
            raise TidepoolError("the options of the custom op are no FlexBuffer map")
        start = self._follow(size - 2 - width, width)
        width = 1 << (kind & 3)
        values: dict[str, Scalar] = {}
        vectors: dict[str, tuple[Scalar, ...]] = {}
        keys, elements = list(self._keys(start, width)), list(self._elements(start, width))
        if len(keys) != len(elements):
            raise TidepoolError(f"a map has {len(keys)} keys, but {len(elements)} values")
        for key, (at, packed) in zip(keys, elements, strict=True):
            if packed >> 2 == Type.VECTOR:
                vector = self._elements(self._follow(at, width), 1 << (packed & 3))
                found = [self._scalar(a, 1 << (packed & 3), p) for a, p in vector]
                vectors[key] = tuple(value for value in found if value is not None)
            elif (value := self._scalar(at, width, packed)) is not None:
                values[key] = value
        return FlexMap(values, vectors)

    def _keys(self, start: int, width: int) -> Iterator[str]:
        # Before a map's size stand the offset of its vector of keys and that vector's width.
        vector = self._follow(start - 3 * width, width)
        key_width = self._unsigned(start - 2 * width, width)
        if key_width not in (1, 2, 4, 8):
            raise TidepoolError(f"the keys of the custom op's options are {key_width} bytes wide")
        for at in self._positions(vector, key_width, key_width):
            yield self._key(self._follow(at, key_width))

    def _key(self, start: int) -> str:
        raw, end, _ = bytes(self.buffer[start : start + _MAX_KEY]).partition(b"\0")
        if not end:
            raise TidepoolError(f"a key of the custom op's options at {start} has no end")
        return raw.decode("ascii", errors="backslashreplace")

    def _elements(self, start: int, width: int) -> Iterator[tuple[int, int]]:
        """Position and packed type of each element of an untyped vector."""
        types = start + self._unsigned(start - width, width) * width
        for index, at in enumerate(self._positions(start, width, width + 1)):
            yield at, self.buffer[types + index]

    def _positions(self, start: int, width: int, room: int) -> Iterator[int]:
        count = self._unsigned(start - width, width)
        if count * room > len(self.buffer) - start:
            raise TidepoolError(f"a vector of {count} elements exceeds the custom op's options")
        for position in range(start, start + count * width, width):
            self.limit.spend(1)
            yield position

    def _scalar(self, at: int, width: int, packed: int) -> Scalar | None:
        kind = packed >> 2
        if kind in (Type.UINT, Type.BOOL):
            return self._unsigned(at, width)
        if kind == Type.INT:
            return self._integer(at, width, signed=True)
        if kind in (Type.INDIRECT_INT, Type.INDIRECT_UINT):
            place = self._follow(at, width)
            return self._integer(place, 1 << (packed & 3), signed=kind == Type.INDIRECT_INT)
        if kind in (Type.STRING, Type.BLOB):
            start = self._follow(at, width)
            length = self._unsigned(start - (1 << (packed & 3)), 1 << (packed & 3))
            if length > len(self.buffer) - start:
                raise TidepoolError(f"{length} bytes at {start} exceed the custom op's options")
            return self.buffer[start : start + length]
        return None

    def _follow(self, at: int, width: int) -> int:
        offset = self._unsigned(at, width)
        # Offsets count from their own place and point backwards.
        if not 0 < offset <= at:
            raise TidepoolError(f"the offset {offset} at {at} leads out of the custom op's options")
        return at - offset

    def _unsigned(self, at: int, width: int) -> int:
        return self._integer(at, width, signed=False)

    def _integer(self, at: int, width: int, *, signed: bool) -> int:
        if at < 0 or at + width > len(self.buffer):
            raise TidepoolError(f"{width} bytes at {at} lie outside the custom op's options")
        return int.from_bytes(self.buffer[at : at + width], "little", signed=signed)

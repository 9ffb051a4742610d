"""Compiled models for the Edge TPU, built by hand: any table, any field, any value."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flatbuffers
from flatbuffers import flexbuffers

from converters.tflite.builder import GraphBuilder
from converters.tflite.writer import write_graph

Fields = dict[int, tuple[str, Any]]
"""Field number to kind (``i16``, ``i32``, ``i64``, ``u64``, ``f32``, ``bytes``, ``text``,
``table``, ``tables``, ``strings``, ``pairs``) and value. ``shared tables`` and ``shared strings``
take one element and a count: all entries of the vector lead to the same element."""

_SCALARS = {"i16": "Int16", "i32": "Int32", "i64": "Int64", "u64": "Uint64", "f32": "Float32"}

LAYER: Fields = {
    0: ("text", "input"),
    1: ("i32", 200),
    2: ("i32", 8),
    3: ("i32", 8),
    4: ("i32", 3),
    5: ("table", {0: ("i32", 128), 1: ("f32", 0.5)}),
    6: ("i16", 8),
}
OUTPUT: Fields = LAYER | {
    0: ("text", "output"),
    9: ("i32", 28),
    11: ("table", {0: ("pairs", [(0, 0), (0, 9)])}),
}
EXECUTION: Fields = {
    1: ("text", "model"),
    3: ("i32", 1),
    4: ("i32", 96),
    5: ("tables", [{0: ("bytes", bytes(100))}, {0: ("bytes", bytes(20))}]),
    6: ("bytes", bytes(32)),
    8: ("tables", [LAYER]),
    9: ("tables", [OUTPUT]),
    10: ("text", "beagle"),
    12: ("i32", 4096),
    13: ("i16", 2),
    14: ("u64", 0xF00D_CAFE_0000_0001),
    16: ("i64", 5_000_000_000),
}
CACHING: Fields = {
    5: ("tables", [{0: ("bytes", bytes(48))}]),
    6: ("bytes", bytes(640)),
    10: ("text", "beagle"),
    13: ("i16", 1),
    14: ("u64", 0xF00D_CAFE_0000_0001),
}


def flatbuffer(fields: Fields, identifier: bytes | None = None) -> bytes:
    """A flatbuffer whose root is the table with these fields."""
    builder = flatbuffers.Builder(0)
    builder.Finish(_table(builder, fields), file_identifier=identifier)
    return bytes(builder.Output())


def package(executables: Sequence[Fields] = (EXECUTION, CACHING), **overrides: Any) -> bytes:
    """A package of executables; ``f5=("i32", 1)`` sets its field 5."""
    multiple = flatbuffer({0: ("strings", [flatbuffer(e) for e in executables])})
    fields: Fields = {0: ("i32", 13), 1: ("bytes", multiple), 4: ("text", "cl/")}
    fields |= {int(name[1:]): value for name, value in overrides.items()}
    return flatbuffer(fields, b"DWN1")


class _Raw(bytes):
    """Bytes that the FlexBuffer builder takes for a string, as the compiler's package is one."""

    def encode(self, _encoding: str) -> bytes:
        return bytes(self)


def options(values: dict[str, Any]) -> bytes:
    """The FlexBuffer map of a custom op: integers, bytes (as strings) and lists of these."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in values.items():
            builder.Key(key)
            if isinstance(value, list):
                with builder.Vector():
                    for element in value:
                        _flex(builder, element)
            else:
                _flex(builder, value)
    return bytes(builder.Finish())


def compiled_model(*custom_options: bytes, cpu: Sequence[str] = ()) -> bytes:
    """A TFLite file of custom ops with these options, followed by operators on the CPU."""
    builder = GraphBuilder("compiled")
    x = builder.input((1, 8), 0.5, 0)
    for opcode in ["CUSTOM"] * len(custom_options) + list(cpu):
        x = builder.op(opcode, [x], None, shape=(1, 8), scale=0.5, zero_point=0)
    builder.output(x)
    graph = builder.graph()
    custom = [
        dataclasses.replace(op, custom_code="edgetpu-custom-op", custom_options=content)
        for op, content in zip(graph.operators, custom_options, strict=False)
    ]
    operators = (*custom, *graph.operators[len(custom) :])
    return write_graph(dataclasses.replace(graph, operators=operators))


def minimal_model() -> bytes:
    """One custom op with one package of two executables, and an operator on the CPU."""
    return compiled_model(options({"1": 0, "4": package(), "5": -1}), cpu=["RELU"])


def _flex(builder: Any, value: Any) -> None:
    if isinstance(value, bytes):
        builder.String(_Raw(value))
    elif isinstance(value, float):
        builder.Float(value)
    else:
        builder.Int(value)


def _table(builder: Any, fields: Fields) -> int:
    references = {
        number: _reference(builder, kind, value)
        for number, (kind, value) in fields.items()
        if kind not in _SCALARS
    }
    builder.StartObject(max(fields) + 1)
    for number, (kind, value) in fields.items():
        if number in references:
            builder.PrependUOffsetTRelativeSlot(number, references[number], 0)
        else:
            getattr(builder, f"Prepend{_SCALARS[kind]}Slot")(number, value, 0)
    return int(builder.EndObject())


def _reference(builder: Any, kind: str, value: Any) -> int:
    if kind == "bytes":
        return int(builder.CreateByteVector(value))
    if kind == "text":
        return int(builder.CreateString(value))
    if kind == "table":
        return _table(builder, value)
    if kind == "pairs":
        builder.StartVector(8, len(value), 4)
        for start, end in reversed(value):
            builder.PrependInt32(end)
            builder.PrependInt32(start)
        return int(builder.EndVector())
    make = builder.CreateString if "strings" in kind else lambda v: _table(builder, v)
    if kind.startswith("shared"):
        element, count = value
        offsets = [make(element)] * count
    else:
        offsets = [make(element) for element in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())

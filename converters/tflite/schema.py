"""Where the reader and the writer meet TFLite's flatbuffer schema.

Only the modules of this package import it. The schema itself is LiteRT's generated module; it is
imported on first use, so that a graph can be handled without it.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from functools import cache
from types import ModuleType
from typing import Any

from converters.tflite.graph import Activation, Padding, TensorType
from converters.tflite.options import TABLES, Options, OtherOptions

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3


@cache
def schema() -> ModuleType:
    """LiteRT's generated schema module."""
    from ai_edge_litert import schema_py_generated

    return typing.cast(ModuleType, schema_py_generated)


@cache
def enum_names(enum: str) -> dict[int, str]:
    """Value -> name of one of the schema's enumerations."""
    members = vars(getattr(schema(), enum))
    return {value: name for name, value in members.items() if not name.startswith("_")}


@cache
def enum_values(enum: str) -> dict[str, int]:
    """Name -> value of one of the schema's enumerations."""
    return {name: value for value, name in enum_names(enum).items()}


_ENUMS: dict[Any, str] = {
    Padding: "Padding",
    Activation: "ActivationFunctionType",
    TensorType: "TensorType",
}


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), name)


def options_from_schema(table: str, source: Any) -> Options:
    """Makes the dataclass of a table from the schema's object (``...OptionsT``)."""
    if table not in TABLES:
        return OtherOptions(
            table, tuple((name, _plain(value)) for name, value in vars(source).items())
        )
    cls = TABLES[table]
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        value = getattr(source, _camel_case(field.name))
        hint = hints[field.name]
        if hint in _ENUMS:
            values[field.name] = hint(enum_names(_ENUMS[hint])[value])
        else:
            plain = _plain(value)
            values[field.name] = () if plain is None and hint == tuple[int, ...] else plain
    return cls(**values)


def options_to_schema(options: Options) -> tuple[int, Any]:
    """The schema's union type and object for a dataclass of options."""
    table = options.table if isinstance(options, OtherOptions) else type(options).__name__
    target = getattr(schema(), f"{table}T")()
    if isinstance(options, OtherOptions):
        for name, value in options.fields:
            setattr(target, name, list(value) if isinstance(value, tuple) else value)
    else:
        for field in dataclasses.fields(options):
            value = getattr(options, field.name)
            if type(value) in _ENUMS:
                value = enum_values(_ENUMS[type(value)])[value.value]
            elif isinstance(value, tuple):
                value = list(value)
            setattr(target, _camel_case(field.name), value)
    return enum_values("BuiltinOptions")[table], target


def _plain(value: Any) -> Any:
    """Arrays and lists as tuples, so that options can be compared and hashed."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value

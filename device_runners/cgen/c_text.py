"""C source text: initializers, arrays and identifiers."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

import numpy as np

from converters.tflite.graph import TensorType
from device_runners.cgen.operation import ConstantArray, KernelCall, Symbol

_WIDTH = 100
_C_TYPES = {
    TensorType.INT8: "int8_t",
    TensorType.BOOL: "int8_t",  # 0 or 1
    TensorType.INT16: "int16_t",
    TensorType.INT32: "int32_t",
    TensorType.INT64: "int64_t",
    TensorType.FLOAT32: "float",
}
_SIZES = {"int8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "uint32_t": 4, "int64_t": 8}


def c_type(type_: TensorType) -> str:
    """The C type of a tensor's elements."""
    return _C_TYPES[type_]


def array_definition(array: ConstantArray) -> str:
    """A ``static const`` array, 16-byte aligned, its values wrapped."""
    values = array.values.ravel()
    body = _wrapped([_element(value, array.c_type) for value in values.tolist()])
    comment = f"/* {comment_text(array.comment)} */\n" if array.comment else ""
    return (
        f"{comment}static const _Alignas(16) {array.c_type} {array.name}[{values.size}] = {{\n"
        f"{textwrap.indent(body, '    ')}\n}};"
    )


def _element(value: int, c_type: str) -> str:
    return f"0x{value:08x}u" if c_type == "uint32_t" else _literal(value)


def _wrapped(values: list[str]) -> str:
    lines: list[str] = []
    line = ""
    for value in values:
        item = f"{value},"
        if len(line) + len(item) + 1 > _WIDTH - 4:
            lines.append(line)
            line = item
        else:
            line = f"{line} {item}" if line else item
    lines.append(line.rstrip(","))
    return "\n".join(lines)


def _literal(value: int) -> str:
    # -2147483648 is an expression of a wider type in C.
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def params_definition(name: str, call: KernelCall) -> str:
    """A call's parameters as a ``static const`` struct with designated initializers."""
    return f"static const {call.params_type} {name} = {_initializer(call.params, 0)};"


def _initializer(value: object, depth: int) -> str:
    if isinstance(value, Mapping):
        indent = "    " * (depth + 1)
        fields = [
            f"{indent}.{key} = {_initializer(item, depth + 1)}," for key, item in value.items()
        ]
        return "{\n" + "\n".join(fields) + "\n" + "    " * depth + "}"
    if isinstance(value, tuple):
        return "{" + ", ".join(str(item) for item in value) + "}"
    if isinstance(value, Symbol):
        return value.text
    if isinstance(value, int):
        return _literal(value)
    if isinstance(value, float):
        return float_text(value)
    raise TypeError(f"no C initializer for {value!r}")


def comment_text(text: str) -> str:
    """Text from a model's file, made safe to stand in a C comment."""
    printable = re.sub(r"[^ -~]", "?", text)
    return printable.replace("*/", "*_").replace("/*", "_*")


def float_text(value: float) -> str:
    """A float32 value as a C literal that reads back exactly (nine digits are enough)."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if re.search(r"[.e]", text) else f"{text}.0f"


def rodata_bytes(array: ConstantArray) -> int:
    """The array's size on the target."""
    return int(array.values.size) * _SIZES[array.c_type]

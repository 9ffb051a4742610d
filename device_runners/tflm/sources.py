"""The C++ that a firmware needs to run a model in TensorFlow Lite Micro, as text."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Tensor, TensorType
from device_runners.runner import Int8Model
from device_runners.tflm.arena import ALIGNMENT, Arena, MeasuredArena
from device_runners.tflm.ops import registrations

_BYTES_PER_ROW = 12
_CPP_TYPES = {
    TensorType.INT8: "std::int8_t",
    TensorType.UINT8: "std::uint8_t",
    TensorType.INT32: "std::int32_t",
    TensorType.INT64: "std::int64_t",
    TensorType.BOOL: "bool",
}


def sources(model: Int8Model, arena: Arena) -> dict[str, str]:
    """Writes the four files of a model.

    Args:
        model: The model, in which ``runner.check`` found nothing blocking; its name is the
            namespace of its settings and resolver.
        arena: The arena's size.

    Returns:
        File names and contents.
    """
    values = {
        "name": model.name,
        "size": len(model.content),
        "sha256": hashlib.sha256(model.content).hexdigest(),
        "rows": _rows(model.content),
        "registrations": registrations(model.graph),
    }
    names = ("model_data.h", "model_data.cc", "op_resolver.h")
    files = {f"{model.name}_{file}": _template(file).render(values) for file in names}
    return {**files, settings_file(model.name): settings(model, arena)}


def settings_file(name: str) -> str:
    """The file that holds a model's settings, its arena's size among them."""
    return f"{name}_settings.h"


def settings(model: Int8Model, arena: Arena) -> str:
    """Writes one of these files: sizes, shapes, quantization.

    Returns:
        Its content.
    """
    graph = model.graph
    values = {
        "name": model.name,
        "arena": arena,
        "measured": isinstance(arena, MeasuredArena),
        "alignment": ALIGNMENT,
        "inputs": [_port(f"Input{k}", tensor) for k, tensor in enumerate(graph.input_tensors)],
        "outputs": [_port(f"Output{k}", tensor) for k, tensor in enumerate(graph.output_tensors)],
    }
    return _template("settings.h").render(values)


def model_from_source(source: str) -> bytes:
    """Reads the model back from the content of a ``<model>_model_data.cc``.

    Raises:
        TidepoolError: There is no array of bytes in it.
    """
    array = re.search(r"_model_data\[\] = \{\n(.*?)\n\};", source, re.DOTALL)
    if array is None:
        raise TidepoolError(
            "the model data source holds no array", hint="build the TFLM artifacts again"
        )
    return bytes(int(value, 16) for value in re.findall(r"0x([0-9a-f]{2})", array.group(1)))


@dataclass(frozen=True)
class _Port:
    """An input or output tensor in the words of the settings' template."""

    label: str
    comment: str
    type: str
    shape: tuple[int, ...]
    bytes: int
    scale: str
    decimal_scale: str
    zero_point: int


def _port(label: str, tensor: Tensor) -> _Port:
    quantized = tensor.quantization is not None
    if tensor.type not in _CPP_TYPES:
        raise TidepoolError(
            f"the model's input or output '{tensor.name}' is {tensor.type}",
            hint="convert the model to full-integer int8: 'tidepool convert MODEL'",
        )
    return _Port(
        label=label,
        # A name is free text: only what can't end the comment or continue it gets through.
        comment=re.sub(r"[^ -\[\]-~]", "?", tensor.name),
        type=_CPP_TYPES[tensor.type],
        shape=tensor.shape,
        bytes=tensor.bytes,
        scale=float_literal(tensor.scale) if quantized else "",
        decimal_scale=str(np.float32(tensor.scale)) if quantized else "",
        zero_point=tensor.zero_point if quantized else 0,
    )


def float_literal(value: float) -> str:
    """A C++17 literal that is exactly a float32 value: hexadecimal, without trailing zeros.

    >>> float_literal(0.5847029089927673)
    '0x1.2b5e2p-1f'
    """
    mantissa, exponent = value.hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{int(exponent)}f"


def _rows(data: bytes) -> str:
    cells = [f"0x{byte:02x}," for byte in data]
    starts = range(0, len(cells), _BYTES_PER_ROW)
    return "\n".join("    " + " ".join(cells[i : i + _BYTES_PER_ROW]) for i in starts)


def _template(name: str) -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(f"{name}.j2")

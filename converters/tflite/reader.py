"""Reads the main subgraph of a TFLite file into a ``Graph``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import (
    Array,
    Graph,
    Operator,
    OperatorCode,
    Quantization,
    Tensor,
    TensorType,
)
from converters.tflite.options import Options, OtherOptions
from converters.tflite.schema import FILE_IDENTIFIER, enum_names, options_from_schema, schema


def read_graph(source: Path | bytes) -> Graph:
    """Reads a TFLite model.

    Args:
        source: A file, or the content of one.

    Returns:
        The graph of the file's first subgraph, checked for consistency: every index is in range,
        every constant has the size of its shape, operators come in an executable order.

    Raises:
        TidepoolError: The file is missing, is not a TFLite model, or is corrupt.
    """
    name = source.name if isinstance(source, Path) else "the model"
    data = _read_file(source) if isinstance(source, Path) else source
    if data[4:8] != FILE_IDENTIFIER:
        raise TidepoolError(
            f"{name} is not a TFLite model: its file identifier is {data[4:8]!r}, not 'TFL3'",
            hint="give a .tflite file as the converter wrote it",
        )
    try:
        return _Reader(data).graph()
    except TidepoolError as error:
        raise _corrupt(name, error.message) from error
    except Exception as error:
        # Python's flatbuffers has no verifier: an offset that leads astray surfaces as whatever
        # exception the misread bytes provoke. All of them mean the same to the user.
        raise _corrupt(name, f"{type(error).__name__} while reading it: {error}") from error


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise TidepoolError(
            f"model file {path} does not exist", hint="check the path given as MODEL"
        ) from None
    except OSError as error:
        raise TidepoolError(f"model file {path} can't be read: {error.strerror}") from error


def _corrupt(name: str, reason: str) -> TidepoolError:
    return TidepoolError(
        f"{name} is corrupt or truncated: {reason}",
        hint="convert the model again, or fetch the file again and compare its checksum",
    )


# More numbers and characters than this for each byte of the file are never unpacked: writers share
# few vectors and names.
_ELEMENTS_PER_BYTE = 4


class _Reader:
    """Walks one flatbuffer. Anything inconsistent raises; ``read_graph`` words the error."""

    def __init__(self, data: bytes) -> None:
        # Vectors may be shared, so a small hostile file can stand for a huge graph.
        self._budget = _ELEMENTS_PER_BYTE * len(data)
        self._model = schema().Model.GetRootAs(data, 0)
        if self._model.SubgraphsLength() == 0:
            raise TidepoolError("it holds no subgraph")
        self._subgraph = self._model.Subgraphs(0)

    def graph(self) -> Graph:
        codes = tuple(
            self._operator_code(self._model.OperatorCodes(i))
            for i in range(self._model.OperatorCodesLength())
        )
        subgraph = self._subgraph
        tensors = tuple(
            self._tensor(i, subgraph.Tensors(i)) for i in range(subgraph.TensorsLength())
        )
        operators = tuple(
            self._operator(i, subgraph.Operators(i), codes)
            for i in range(subgraph.OperatorsLength())
        )
        graph = Graph(
            name=self._text(subgraph.Name()),
            tensors=tensors,
            operators=operators,
            inputs=self._numbers(subgraph.InputsAsNumpy()),
            outputs=self._numbers(subgraph.OutputsAsNumpy()),
            subgraphs=self._model.SubgraphsLength(),
            description=self._text(self._model.Description()),
            operator_codes=codes,
        )
        _check_consistency(graph)
        return graph

    def _operator_code(self, code: Any) -> OperatorCode:
        # Codes above 127 are only in the newer field; old files have only the deprecated one.
        value = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        names = enum_names("BuiltinOperator")
        opcode = names.get(value, f"BUILTIN_{value}")
        return OperatorCode(opcode, code.Version(), self._text(code.CustomCode()))

    def _tensor(self, index: int, source: Any) -> Tensor:
        shape = self._numbers(source.ShapeAsNumpy())
        if any(size < 0 for size in shape):
            raise TidepoolError(f"tensor {index} has the shape {list(shape)}")
        type_ = TensorType(enum_names("TensorType")[source.Type()])
        tensor = Tensor(
            index=index,
            name=self._text(source.Name()),
            shape=shape,
            type=type_,
            quantization=self._quantization(index, source.Quantization(), shape),
            shape_signature=self._numbers(source.ShapeSignatureAsNumpy()) or shape,
            is_variable=source.IsVariable(),
        )
        data = self._constant(tensor, source)
        return tensor if data is None else _with_data(tensor, data)

    def _quantization(self, index: int, source: Any, shape: tuple[int, ...]) -> Quantization | None:
        if source is None or source.ScaleLength() == 0:
            return None
        scales = self._numbers(source.ScaleAsNumpy())
        zero_points = self._numbers(source.ZeroPointAsNumpy()) or (0,) * len(scales)
        axis = source.QuantizedDimension()
        per_channel = len(scales) > 1
        if len(zero_points) != len(scales) or (
            per_channel and not (0 <= axis < len(shape) and shape[axis] == len(scales))
        ):
            raise TidepoolError(
                f"tensor {index} of shape {list(shape)} has {len(scales)} scales and "
                f"{len(zero_points)} zero points along dimension {axis}"
            )
        return Quantization(scales, zero_points, axis)

    def _constant(self, tensor: Tensor, source: Any) -> Array | None:
        buffer = self._model.Buffers(self._in_range(source.Buffer(), self._model.BuffersLength()))
        if buffer.Offset() > 1 or buffer.Size() > 1:
            raise TidepoolError(f"tensor {tensor.index} lies outside the flatbuffer (over 2 GiB)")
        if buffer.DataLength() == 0:
            return None
        raw: Array = buffer.DataAsNumpy()
        if source.Sparsity() is not None:
            raise TidepoolError(f"tensor {tensor.index} is sparse, which is not supported")
        if tensor.type is TensorType.STRING:
            return raw
        if raw.nbytes != tensor.bytes:
            raise TidepoolError(
                f"tensor {tensor.index} '{tensor.name}' has {raw.nbytes} bytes of data, but its "
                f"shape {list(tensor.shape)} and type {tensor.type} take {tensor.bytes}"
            )
        if tensor.elements * tensor.type.dtype.itemsize != raw.nbytes:
            return raw  # packed
        return raw.view(tensor.type.dtype).reshape(tensor.shape)

    def _operator(self, index: int, source: Any, codes: tuple[OperatorCode, ...]) -> Operator:
        code = codes[self._in_range(source.OpcodeIndex(), len(codes))]
        custom = source.CustomOptionsAsNumpy() if source.CustomOptionsLength() else None
        return Operator(
            index=index,
            opcode=code.opcode,
            version=code.version,
            options=_options(source),
            inputs=self._numbers(source.InputsAsNumpy()),
            outputs=self._numbers(source.OutputsAsNumpy()),
            custom_code=code.custom_code,
            custom_options=b"" if custom is None else custom.tobytes(),
            intermediates=self._numbers(source.IntermediatesAsNumpy()),
        )

    def _numbers(self, array: Any) -> tuple[Any, ...]:
        # An absent vector is read as the integer 0.
        if not isinstance(array, np.ndarray):
            return ()
        self._spend(array.size)
        return tuple(array.tolist())

    def _spend(self, elements: int) -> None:
        self._budget -= elements
        if self._budget < 0:
            raise TidepoolError("it unfolds into far more than its size")

    def _text(self, raw: bytes | None) -> str:
        self._spend(len(raw or b""))
        return "" if raw is None else raw.decode("utf-8")

    @staticmethod
    def _in_range(index: int, length: int) -> int:
        if not 0 <= index < length:
            raise TidepoolError(f"an index is {index}, but there are {length} entries")
        return index


def _options(source: Any) -> Options | None:
    if source.BuiltinOptions2Type():
        # StableHLO and its kin: kept by name only; no runner supports them.
        return OtherOptions(enum_names("BuiltinOptions2")[source.BuiltinOptions2Type()])
    kind = source.BuiltinOptionsType()
    if kind == 0:
        return None
    union = source.BuiltinOptions()
    unpacked = schema().BuiltinOptionsCreator(kind, union)
    return options_from_schema(enum_names("BuiltinOptions")[kind], unpacked)


def _with_data(tensor: Tensor, data: Array) -> Tensor:
    data.flags.writeable = False
    return dataclasses.replace(tensor, data=data)


def _check_consistency(graph: Graph) -> None:
    """Every index in range, every input computed before it is read, no constant overwritten."""
    count = len(graph.tensors)
    inside = (index for op in graph.operators for index in op.intermediates if index != -1)
    for index in (*graph.inputs, *graph.outputs, *inside):
        if not 0 <= index < count:
            raise TidepoolError(f"the graph refers to tensor {index} of {count}")
    known = {
        tensor.index
        for tensor in graph.tensors
        # A tensor without elements has no data and is never computed.
        if tensor.is_constant or tensor.is_variable or tensor.elements == 0
    }
    fixed = known | set(graph.inputs)
    known = set(fixed)
    for op in graph.operators:
        for index in op.inputs:
            if not -1 <= index < count:
                raise TidepoolError(f"operator {op.index} reads tensor {index} of {count}")
            if index not in known and index >= 0:
                raise TidepoolError(
                    f"operator {op.index} ({op.opcode}) reads tensor {index} before it is written"
                )
        for index in op.outputs:
            if not 0 <= index < count:
                raise TidepoolError(f"operator {op.index} writes tensor {index} of {count}")
            if index in fixed and graph.tensors[index].elements:
                raise TidepoolError(f"operator {op.index} writes the constant or input {index}")
            known.add(index)
    for index in graph.outputs:
        if index not in known:
            raise TidepoolError(f"the output tensor {index} is never written")

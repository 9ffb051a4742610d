"""A TFLite model as plain data: the one language between conversion and the device runners.

A ``Graph`` is immutable. Tensors and operators refer to each other by index, as in the file, so
that an index in an error message is the index that any other tool shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters.errors import TidepoolError

if TYPE_CHECKING:
    from converters.tflite.options import Options

Array = npt.NDArray[Any]


class TensorType(StrEnum):
    """Element types, named and ordered as in TFLite's schema."""

    FLOAT32 = "FLOAT32"
    FLOAT16 = "FLOAT16"
    INT32 = "INT32"
    UINT8 = "UINT8"
    INT64 = "INT64"
    STRING = "STRING"
    BOOL = "BOOL"
    INT16 = "INT16"
    COMPLEX64 = "COMPLEX64"
    INT8 = "INT8"
    FLOAT64 = "FLOAT64"
    COMPLEX128 = "COMPLEX128"
    UINT64 = "UINT64"
    RESOURCE = "RESOURCE"
    VARIANT = "VARIANT"
    UINT32 = "UINT32"
    UINT16 = "UINT16"
    INT4 = "INT4"
    BFLOAT16 = "BFLOAT16"
    INT2 = "INT2"
    UINT4 = "UINT4"
    FLOAT8_E4M3FN = "FLOAT8_E4M3FN"
    FLOAT8_E5M2 = "FLOAT8_E5M2"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of one element; packed and opaque types are raw ``uint8``."""
        return np.dtype(_DTYPES.get(self, np.uint8))

    @property
    def is_float(self) -> bool:
        return "FLOAT" in self.value or "COMPLEX" in self.value


_DTYPES: dict[TensorType, Any] = {
    TensorType.FLOAT32: np.float32,
    TensorType.FLOAT16: np.float16,
    TensorType.FLOAT64: np.float64,
    TensorType.COMPLEX64: np.complex64,
    TensorType.COMPLEX128: np.complex128,
    TensorType.INT8: np.int8,
    TensorType.INT16: np.int16,
    TensorType.INT32: np.int32,
    TensorType.INT64: np.int64,
    TensorType.UINT8: np.uint8,
    TensorType.UINT16: np.uint16,
    TensorType.UINT32: np.uint32,
    TensorType.UINT64: np.uint64,
    TensorType.BOOL: np.bool_,
}


class Padding(StrEnum):
    """Padding of convolutions and pooling."""

    SAME = "SAME"
    VALID = "VALID"


class Activation(StrEnum):
    """Activations that TFLite fuses into another operator."""

    NONE = "NONE"
    RELU = "RELU"
    RELU_N1_TO_1 = "RELU_N1_TO_1"
    RELU6 = "RELU6"
    TANH = "TANH"
    SIGN_BIT = "SIGN_BIT"


@dataclass(frozen=True)
class Quantization:
    """Affine quantization: ``real = scale * (integer - zero_point)``.

    Attributes:
        scales: One scale, or one for each index along ``axis``; float32 values.
        zero_points: As many zero points.
        axis: The dimension that several scales run along (``quantized_dimension``).
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        return len(self.scales) > 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the graph.

    Attributes:
        index: Its index in the file.
        name: Its name in the file; not always unique.
        shape: Its static shape.
        shape_signature: The shape with -1 where the file says that a dimension is dynamic.
        type: The element type.
        quantization: None for a tensor without scales.
        data: Constant data in ``shape`` (packed types: flat bytes), read-only; None for a tensor
            that is computed.
        is_variable: Whether it keeps its value between invocations.
        packed_type: What the file has instead, where its packed values were unpacked: ``INT4``.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    type: TensorType
    quantization: Quantization | None = None
    data: Array | None = None
    shape_signature: tuple[int, ...] = ()
    is_variable: bool = False
    packed_type: TensorType | None = None

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantized tensor; a ``TidepoolError`` for any other."""
        return self._per_tensor().scales[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantized tensor; a ``TidepoolError`` for any other."""
        return self._per_tensor().zero_points[0]

    def _per_tensor(self) -> Quantization:
        if self.quantization is None or self.quantization.per_channel:
            found = "not quantized" if self.quantization is None else "quantized per channel"
            raise TidepoolError(
                f"tensor {self.index} '{self.name}' is {found}, but one scale is needed here",
                hint="convert the model to full-integer int8 first",
            )
        return self.quantization

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """The size of the tensor in memory, in bytes; packed types fill their last byte."""
        return _bytes(self.elements, self.type)

    @property
    def packed_bytes(self) -> int:
        """What its values take as the file has them, in bytes."""
        return _bytes(self.elements, self.packed_type or self.type)


def _bytes(elements: int, type_: TensorType) -> int:
    bits = {TensorType.INT4: 4, TensorType.UINT4: 4, TensorType.INT2: 2}.get(
        type_, type_.dtype.itemsize * 8
    )
    return (elements * bits + 7) // 8


@dataclass(frozen=True)
class Operator:
    """An operator of the graph.

    Attributes:
        index: Its place in the order of execution.
        opcode: Its builtin name, for example ``CONV_2D``; ``CUSTOM`` for a custom one.
        custom_code: The name of a custom operator.
        version: The operator's version in the file.
        options: Its builtin options, or None.
        custom_options: The raw options of a custom operator.
        inputs: Tensor indices; -1 for an optional input that is absent.
        outputs: Tensor indices.
        intermediates: Tensors that hold nothing but the quantization of what lies inside (LSTM).
    """

    index: int
    opcode: str
    version: int
    options: Options | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom_code: str = ""
    custom_options: bytes = b""
    intermediates: tuple[int, ...] = ()

    @property
    def display_name(self) -> str:
        """The opcode, with the name of a custom operator."""
        return f"CUSTOM:{self.custom_code}" if self.custom_code else self.opcode


@dataclass(frozen=True)
class OperatorCode:
    """An entry of the file's operator-code table; it may be unused."""

    opcode: str
    version: int
    custom_code: str = ""


@dataclass(frozen=True, eq=False)
class Graph:
    """The main subgraph of a TFLite model.

    Attributes:
        name: The subgraph's name.
        tensors: All tensors, in the order of their indices.
        operators: The operators, in the order of execution.
        inputs: Indices of the input tensors.
        outputs: Indices of the output tensors.
        subgraphs: How many subgraphs the file holds; only the first one is read.
        description: The file's description.
        operator_codes: The file's operator-code table, unused entries included.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    subgraphs: int = 1
    description: str = ""
    operator_codes: tuple[OperatorCode, ...] = ()

    def tensor(self, index: int) -> Tensor:
        return self.tensors[index]

    @property
    def input_tensors(self) -> tuple[Tensor, ...]:
        return tuple(self.tensors[i] for i in self.inputs)

    @property
    def output_tensors(self) -> tuple[Tensor, ...]:
        return tuple(self.tensors[i] for i in self.outputs)

    def inputs_of(self, operator: Operator) -> tuple[Tensor | None, ...]:
        """The operator's inputs; None stands for an optional one that is absent."""
        return tuple(None if i < 0 else self.tensors[i] for i in operator.inputs)

    def outputs_of(self, operator: Operator) -> tuple[Tensor, ...]:
        return tuple(self.tensors[i] for i in operator.outputs)

    def producer(self, tensor: int) -> Operator | None:
        """The operator that computes a tensor; None for inputs and constants."""
        return self._producers.get(tensor)

    def consumers(self, tensor: int) -> tuple[Operator, ...]:
        return self._consumers.get(tensor, ())

    @cached_property
    def _producers(self) -> dict[int, Operator]:
        return {output: op for op in self.operators for output in op.outputs}

    @cached_property
    def _consumers(self) -> dict[int, tuple[Operator, ...]]:
        consumers: dict[int, list[Operator]] = {}
        for op in self.operators:
            for tensor in dict.fromkeys(op.inputs):
                consumers.setdefault(tensor, []).append(op)
        return {tensor: tuple(ops) for tensor, ops in consumers.items()}

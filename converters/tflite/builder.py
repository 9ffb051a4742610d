"""Builds small graphs by hand: for tests, and for passes that insert operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.tflite.graph import Array, Graph, Operator, Quantization, Tensor, TensorType
from converters.tflite.options import Options


class GraphBuilder:
    """Collects tensors and operators, and hands out the tensors' indices.

    >>> b = GraphBuilder("relu")
    >>> x = b.input((1, 4), scale=0.1, zero_point=0)
    >>> y = b.op("RELU", [x], None, shape=(1, 4), scale=0.1, zero_point=-128)
    >>> b.output(y)
    >>> [op.opcode for op in b.graph().operators]
    ['RELU']
    """

    def __init__(self, name: str = "main") -> None:
        self._name = name
        self._tensors: list[Tensor] = []
        self._operators: list[Operator] = []
        self._inputs: list[int] = []
        self._outputs: list[int] = []

    def tensor(
        self,
        shape: Sequence[int],
        type: TensorType = TensorType.INT8,
        *,
        scales: Sequence[float] = (),
        zero_points: Sequence[int] = (),
        axis: int = 0,
        data: Array | None = None,
        name: str = "",
        is_variable: bool = False,
    ) -> int:
        """Adds a tensor and returns its index; scales are rounded to float32."""
        index = len(self._tensors)
        quantization = None
        if scales:
            rounded = tuple(float(np.float32(scale)) for scale in scales)
            quantization = Quantization(rounded, tuple(zero_points) or (0,) * len(rounded), axis)
        self._tensors.append(
            Tensor(
                index,
                name or f"tensor_{index}",
                tuple(shape),
                type,
                quantization,
                data,
                is_variable=is_variable,
            )
        )
        return index

    def input(
        self,
        shape: Sequence[int],
        scale: float,
        zero_point: int,
        type: TensorType = TensorType.INT8,
    ) -> int:
        index = self.tensor(shape, type, scales=[scale], zero_points=[zero_point])
        self._inputs.append(index)
        return index

    def constant(
        self,
        data: Any,
        *,
        scales: Sequence[float] = (),
        zero_points: Sequence[int] = (),
        axis: int = 0,
    ) -> int:
        """Adds a constant whose type follows the array's dtype."""
        array = np.asarray(data)
        return self.tensor(
            array.shape,
            TensorType(array.dtype.name.upper()),
            scales=scales,
            zero_points=zero_points,
            axis=axis,
            data=array,
        )

    def op(
        self,
        opcode: str,
        inputs: Sequence[int],
        options: Options | None,
        *,
        shape: Sequence[int],
        scale: float,
        zero_point: int,
        type: TensorType = TensorType.INT8,
        version: int = 1,
    ) -> int:
        """Adds an operator with one output and returns the output's index."""
        output = self.tensor(shape, type, scales=[scale], zero_points=[zero_point])
        self.operator(opcode, inputs, options, [output], version=version)
        return output

    def operator(
        self,
        opcode: str,
        inputs: Sequence[int],
        options: Options | None,
        outputs: Sequence[int],
        *,
        version: int = 1,
        intermediates: Sequence[int] = (),
    ) -> None:
        """Adds an operator that computes tensors that were added before."""
        self._operators.append(
            Operator(
                len(self._operators),
                opcode,
                version,
                options,
                tuple(inputs),
                tuple(outputs),
                intermediates=tuple(intermediates),
            )
        )

    def output(self, tensor: int) -> None:
        self._outputs.append(tensor)

    def graph(self) -> Graph:
        return Graph(
            self._name,
            tuple(self._tensors),
            tuple(self._operators),
            tuple(self._inputs),
            tuple(self._outputs),
        )

"""What a model's inputs take, and how a sample becomes that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.affine import quantize, real_range
from converters.tflite.graph import Array, Graph, Tensor


@dataclass(frozen=True, eq=False)
class InputSpec:
    """An input of a model.

    Attributes:
        name: Its name.
        shape: Its shape without the batch.
        tensor: For a quantized model the input tensor; None for a float (Keras) model.
    """

    name: str
    shape: tuple[int, ...]
    tensor: Tensor | None = None

    @property
    def range(self) -> tuple[float, float] | None:
        """The real values that a quantized input can hold: the calibrated range."""
        return real_range(self.tensor) if self.tensor else None

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.tensor.type.dtype if self.tensor else np.dtype(np.float32)


def keras_inputs(model: Any) -> tuple[InputSpec, ...]:
    """The inputs of a Keras model.

    Raises:
        TidepoolError: One has no fixed shape.
    """
    specs = []
    for tensor in model.inputs:
        shape = tuple(tensor.shape)[1:]
        if None in shape:
            raise TidepoolError(
                f"input '{tensor.name}' of the model has no fixed shape: {shape}",
                hint="build the model with a fixed input shape",
            )
        specs.append(InputSpec(tensor.name, shape))
    return tuple(specs)


def graph_inputs(graph: Graph) -> tuple[InputSpec, ...]:
    """The inputs of a quantized TFLite model, whose batch is 1."""
    return tuple(InputSpec(t.name, t.shape[1:], t) for t in graph.input_tensors)


def quantized_inputs(arrays: Sequence[Array], graph: Graph) -> list[Array]:
    """Makes a sample ready for a quantized model.

    Data in the input's own integer type is taken as quantized already and used as is. Anything
    else is real values, and is quantized with the input's scale and zero point.

    Args:
        arrays: One array for each input, without a batch.
        graph: The model.

    Returns:
        One array for each input, in the input's shape (batch of 1) and type.
    """
    ready: list[Array] = []
    for array, tensor in zip(arrays, graph.input_tensors, strict=True):
        same_type = array.dtype == tensor.type.dtype
        values = array if same_type else quantize(array, tensor)
        ready.append(np.ascontiguousarray(values.reshape(tensor.shape)))
    return ready


def real_inputs(arrays: Sequence[Array], specs: Sequence[InputSpec]) -> list[Array]:
    """Makes a sample ready for the Keras model: float32 arrays without a batch."""
    return [
        np.asarray(array, np.float32).reshape(spec.shape)
        for array, spec in zip(arrays, specs, strict=True)
    ]

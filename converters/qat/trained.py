"""What was trained, held against (and where needed, put into) the converted graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.qat.activation import QuantizeActivation
from converters.qat.affine import QuantizeAffine
from converters.qat.wrapper import QuantizeWrapper
from converters.tflite.graph import Array, Graph, Operator, Quantization, Tensor, TensorType

_SCALE_TOLERANCE = 1e-5
"""Relative; the converter derives scales in float arithmetic of its own."""

_WEIGHT_INPUTS = {"CONV_2D": (0, 1, 2), "DEPTHWISE_CONV_2D": (0, 1, 2)} | {
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
"""By opcode the positions of activations, weights and bias."""

_INT4_VERSIONS = {"CONV_2D": 7, "FULLY_CONNECTED": 10}
"""By opcode the first version with packed 4-bit weights that the reference kernels unpack.

A 4-bit kernel of any other operator is stored with a byte for each integer."""


@dataclass(frozen=True, eq=False)
class TrainedWeight:
    """A layer's kernel as trained, in TFLite's layout.

    Attributes:
        layer: The layer's name.
        integers: int8.
        scales: float32: one, or one for each index along ``axis``.
        axis: The axis of the scales.
        bits: Width of the integers.
        dense: Whether it is of a Dense layer.
    """

    layer: str
    integers: Array
    scales: Array
    axis: int
    bits: int
    dense: bool

    @property
    def expanded_scales(self) -> Array:
        """The scales, in a shape that broadcasts with the integers."""
        shape = [1] * self.integers.ndim
        shape[self.axis] = self.scales.size
        return self.scales.reshape(shape)

    @property
    def real(self) -> Array:
        result: Array = self.integers * self.expanded_scales
        return result


def trained_weights(model: Any) -> list[TrainedWeight]:
    """The kernels of all quantized layers, batch normalization folded in."""
    found = []
    for layer in model.layers:
        if isinstance(layer, QuantizeAffine):
            grid, _ = layer.baked()
            integers = grid.integers.reshape(1, 1, 1, -1)
            found.append(TrainedWeight(layer.layer.name, integers, grid.scales, 3, 8, False))
        if not isinstance(layer, QuantizeWrapper):
            continue
        baked, layout = layer.baked(), layer.layout
        if baked is None or layout is None:
            continue
        integers = layout.to_tflite(baked[0].integers, tuple(layer.layer.kernel.shape))
        dense = type(layer.layer).__name__ == "Dense"
        found.append(
            TrainedWeight(
                layer.layer.name, integers, baked[0].scales, layout.axis, baked[0].bits, dense
            )
        )
    return found


def seal_weights(graph: Graph, weights: list[TrainedWeight]) -> Graph:
    """Puts the trained grids into the graph where the converter derived others.

    A weight is replaced by the trained integers and scales, its type by INT4 if it has 4 bits, and
    the biases of the operators that read it are brought to their new scale.
    """
    tensors = list(graph.tensors)
    versions: dict[int, int] = {}
    for weight in weights:
        if weight.bits != 4 and any(_equal(weight, tensor) for tensor in graph.tensors):
            continue
        for tensor in graph.tensors:
            if not _same_values(weight, tensor):
                continue
            consumers = graph.consumers(tensor.index)
            packed = weight.bits == 4 and all(op.opcode in _INT4_VERSIONS for op in consumers)
            tensors[tensor.index] = _sealed(weight, tensor, packed)
            for operator in consumers:
                _seal_bias(graph, tensors, operator, weight)
                if packed:
                    versions[operator.index] = _INT4_VERSIONS[operator.opcode]
    operators = tuple(
        replace(operator, version=versions.get(operator.index, operator.version))
        for operator in graph.operators
    )
    return replace(graph, tensors=tuple(tensors), operators=operators)


def _integers(tensor: Tensor) -> Array | None:
    """A constant's int8 values; INT4 is unpacked."""
    if tensor.data is None or tensor.quantization is None:
        return None
    if tensor.type is TensorType.INT8:
        return tensor.data
    if tensor.type is not TensorType.INT4:
        return None
    packed = tensor.data.view(np.int8).reshape(-1)
    # The low nibble comes first; shifting the nibble up and down again extends its sign.
    low, high = (packed << 4).astype(np.int8) >> 4, packed >> 4
    flat = np.stack([low, high], axis=-1).reshape(-1)[: tensor.elements]
    result: Array = flat.reshape(tensor.shape)
    return result


def _equal(weight: TrainedWeight, tensor: Tensor) -> bool:
    if tensor.shape != weight.integers.shape:
        return False
    integers = _integers(tensor)
    if integers is None or tensor.quantization is None:
        return False
    if not np.array_equal(integers, weight.integers) or any(tensor.quantization.zero_points):
        return False
    scales = np.asarray(tensor.quantization.scales, np.float64)
    if scales.size not in (1, weight.scales.size):
        return False
    others = tuple(axis for axis in range(integers.ndim) if axis != weight.axis)
    # The scale of a channel of zeros means nothing.
    used = np.any(integers, axis=others) if weight.scales.size > 1 else np.any(integers)
    close = np.isclose(scales, weight.scales, rtol=_SCALE_TOLERANCE, atol=0)
    return bool(np.all(close | ~used))


def _same_values(weight: TrainedWeight, tensor: Tensor) -> bool:
    if tensor.shape != weight.integers.shape or tensor.type is not TensorType.INT8:
        return False
    if tensor.data is None or tensor.quantization is None:
        return False
    scales = np.asarray(tensor.quantization.scales, np.float64)
    shape = [1] * tensor.data.ndim
    shape[tensor.quantization.axis] = scales.size
    scales = scales.reshape(shape)
    return bool(np.all(np.abs(tensor.data * scales - weight.real) <= 0.51 * scales + 1e-12))


def _sealed(weight: TrainedWeight, tensor: Tensor, packed: bool) -> Tensor:
    scales = tuple(float(scale) for scale in np.asarray(weight.scales, np.float32))
    quantization = Quantization(scales, (0,) * len(scales), weight.axis)
    if not packed:
        return replace(tensor, data=weight.integers, quantization=quantization)
    flat = weight.integers.reshape(-1).astype(np.uint8) & 0x0F
    flat = np.append(flat, np.zeros(flat.size % 2, np.uint8))
    nibbles = flat[0::2] | (flat[1::2] << 4)
    return replace(tensor, data=nibbles, quantization=quantization, type=TensorType.INT4)


def _seal_bias(
    graph: Graph, tensors: list[Tensor], operator: Operator, weight: TrainedWeight
) -> None:
    places = _WEIGHT_INPUTS.get(operator.opcode)
    if places is None:
        raise TidepoolError(
            f"the kernel of layer '{weight.layer}' became an input of {operator.opcode}, "
            "which takes no such grid",
            hint="give this layer the scheme int8",
        )
    source, _, bias = places
    if len(operator.inputs) <= bias or operator.inputs[bias] < 0:
        return
    tensor = graph.tensor(operator.inputs[bias])
    if tensor.data is None or tensor.quantization is None:
        return
    real = tensor.data * np.asarray(tensor.quantization.scales, np.float64)
    scales = graph.tensor(operator.inputs[source]).scale * weight.scales.astype(np.float64)
    safe = np.where(scales > 0, scales, 1)
    limits = np.iinfo(tensor.data.dtype)
    data = np.clip(np.rint(real / safe), limits.min, limits.max).astype(tensor.data.dtype)
    values = tuple(float(scale) for scale in scales.astype(np.float32))
    quantization = Quantization(values, (0,) * len(values), 0)
    tensors[tensor.index] = replace(tensor, data=data, quantization=quantization)


def check_weights(graph: Graph, weights: list[TrainedWeight]) -> None:
    """Asserts that every trained kernel is in the graph, to the last integer.

    Raises:
        TidepoolError: It names the layer and how far the nearest constant is off.
    """
    for weight in weights:
        if any(_equal(weight, tensor) for tensor in graph.tensors):
            continue
        raise TidepoolError(
            f"the weights of layer '{weight.layer}' in the converted file aren't the trained ones"
            f"{_difference(graph, weight)}",
            hint="the converter changed them: leave this layer out of the quantized model, "
            "or report it",
        )


def _difference(graph: Graph, weight: TrainedWeight) -> str:
    least: int | None = None
    for tensor in graph.tensors:
        integers = _integers(tensor)
        if integers is None or tensor.shape != weight.integers.shape:
            continue
        count = int(np.count_nonzero(integers != weight.integers))
        least = count if least is None else min(least, count)
    if least is None:
        return f": no constant has the shape {weight.integers.shape}"
    return f": {least} of {weight.integers.size} integers differ, or the scales do"


def check_ranges(graph: Graph, model: Any) -> None:
    """Asserts that every trained activation range is in the graph.

    Raises:
        TidepoolError: It names the layer.
    """
    found = {
        (tensor.type, tensor.quantization.scales[0], tensor.quantization.zero_points[0])
        for tensor in graph.tensors
        if tensor.quantization is not None and len(tensor.quantization.scales) == 1
    }
    for layer in model.layers:
        if not isinstance(layer, QuantizeActivation):
            continue
        trained = layer.trained_range()
        kind = TensorType.INT16 if trained.bits > 8 else TensorType.INT8
        scale, zero_point = trained.scale, trained.zero_point
        close = any(
            type_ is kind and zero == zero_point and abs(other - scale) <= 1e-5 * scale
            for type_, other, zero in found
        )
        if not close:
            raise TidepoolError(
                f"the range of layer '{layer.name}' (scale {scale:.6g}, zero point {zero_point}) "
                "isn't in the converted file",
                hint="the converter replaced it, likely by that of a neighbour that must have "
                "the same scale; report it with the model",
            )

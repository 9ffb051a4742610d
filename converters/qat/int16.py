"""16-bit activations: an int8 graph with trained symmetric ranges is widened.

TFLite's converter has no way from fake-quantization ops to int16 for all operations. A symmetric
range ``+-m`` is exported with 8 bits (scale ``m / 127``), converted, and widened here to the
trained grid ``m / 32767``; weights stay as they are, biases become 64-bit. That is TFLite's 16x8
scheme ("16-bit activations, 8-bit weights"): zero points of 0, and a scale of 1/32768 after
LOGISTIC, SOFTMAX and TANH.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Graph, Operator, Quantization, Tensor, TensorType
from converters.tflite.options import AddOptions, SubOptions

WIDENING = 127.0 / 32767.0
"""The 16-bit scale of a range over its 8-bit one."""

FIXED_SCALE = 1.0 / 32768.0

_FIXED = {"LOGISTIC": (1 / 256, -128), "SOFTMAX": (1 / 256, -128), "TANH": (1 / 128, 0)}
"""By opcode the 8-bit scale and zero point that its output has by TFLite's specification."""

_NOT_WIDE = ("HARD_SWISH", "PRELU", "GELU")
_WEIGHTS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}


def widen(graph: Graph) -> Graph:
    """Gives the activations of an int8 graph 16 bits.

    Raises:
        TidepoolError: An operator has no 16-bit kernel; the message names it.
    """
    for operator in graph.operators:
        if operator.opcode in _NOT_WIDE:
            raise TidepoolError(
                f"op {operator.index} {operator.opcode} "
                f"(output '{graph.outputs_of(operator)[0].name}') has no 16-bit kernel in TFLite",
                hint="use the scheme int8, or another layer in its place",
            )
    for tensor in graph.tensors:
        if tensor.type is TensorType.INT4:
            raise TidepoolError(
                f"weights '{tensor.name}' have 4 bits, but the activations 16",
                hint="TFLite's 16-bit kernels take weights of 8 bits",
            )
    weights = {
        operator.inputs[_WEIGHTS[operator.opcode]]
        for operator in graph.operators
        if operator.opcode in _WEIGHTS
    }
    given = {_FIXED[op.opcode] for op in graph.operators if op.opcode in _FIXED}
    tensors = [
        _wide(tensor, given) if tensor.index not in weights else tensor for tensor in graph.tensors
    ]
    for operator in graph.operators:
        _widen_bias(tensors, operator)
    operators = tuple(_general_scales(operator) for operator in graph.operators)
    return replace(graph, tensors=tuple(tensors), operators=operators)


def _wide(tensor: Tensor, given: set[tuple[float, int]]) -> Tensor:
    if tensor.type is not TensorType.INT8 or tensor.quantization is None:
        return tensor
    scale, zero_point = tensor.scale, tensor.zero_point
    if tensor.data is not None:
        # A constant operand: its values on the widest symmetric grid.
        real = (tensor.data.astype(np.float64) - zero_point) * scale
        scale = float(np.float32(max(np.abs(real).max(initial=0.0), 1e-12) / 32767))
        data = np.rint(real / scale).clip(-32767, 32767).astype(np.int16)
        quantization = Quantization((scale,), (0,))
        return replace(tensor, type=TensorType.INT16, data=data, quantization=quantization)
    wide = FIXED_SCALE if (scale, zero_point) in given else float(np.float32(scale * WIDENING))
    return replace(tensor, type=TensorType.INT16, quantization=Quantization((wide,), (0,)))


def _widen_bias(tensors: list[Tensor], operator: Operator) -> None:
    position = {"TRANSPOSE_CONV": 3}.get(operator.opcode, 2)
    if operator.opcode not in _WEIGHTS or len(operator.inputs) <= position:
        return
    bias = tensors[operator.inputs[position]] if operator.inputs[position] >= 0 else None
    source = tensors[operator.inputs[2 if operator.opcode == "TRANSPOSE_CONV" else 0]]
    weights = tensors[operator.inputs[1]]
    if bias is None or bias.data is None or bias.quantization is None:
        return
    if bias.type is TensorType.INT64 or weights.quantization is None:
        return
    real = bias.data * np.asarray(bias.quantization.scales, np.float64)
    scales = source.scale * np.asarray(weights.quantization.scales, np.float64)
    data = np.rint(real / np.where(scales > 0, scales, 1)).astype(np.int64)
    values = tuple(float(scale) for scale in scales.astype(np.float32))
    quantization = Quantization(values, (0,) * len(values), 0)
    tensors[bias.index] = replace(bias, type=TensorType.INT64, data=data, quantization=quantization)


def _general_scales(operator: Operator) -> Operator:
    """ADD and SUB may assume scales that are powers of two; these aren't."""
    if isinstance(operator.options, AddOptions | SubOptions):
        return replace(operator, options=replace(operator.options, pot_scale_int16=False))
    return operator

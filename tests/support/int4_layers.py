"""Graphs whose weights the file has in four bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converters.tflite.graph import Graph, Tensor, TensorType

_VERSIONS = {"CONV_2D": 6, "DEPTHWISE_CONV_2D": 6, "FULLY_CONNECTED": 10}
_STEPS = 16  # int8 values in one of four bits


def with_int4_weights(
    graph: Graph,
    rng: np.random.Generator | None = None,
    lowest: int = -7,
    depthwise: bool = True,
) -> Graph:
    """The same network, but for rounding, with the weights of products in four bits.

    Args:
        graph: Its products have constant int8 weights.
        rng: Lets one layer in four have weights of -8.
        lowest: The least weight of the others.
        depthwise: Whether those of depthwise convolutions are, too; the training scheme ``int4``
            leaves them alone.
    """
    tensors = list(graph.tensors)
    operators = []
    for operator in graph.operators:
        if operator.opcode in _VERSIONS and (depthwise or operator.opcode != "DEPTHWISE_CONV_2D"):
            low = -8 if rng is not None and rng.random() < 0.25 else lowest
            weights = tensors[operator.inputs[1]]
            assert weights.data is not None
            values = np.clip(np.rint(weights.data / _STEPS), low, 7).astype(np.int8)
            tensors[weights.index] = _scaled(replace(weights, type=TensorType.INT4), pack(values))
            if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
                bias = tensors[operator.inputs[2]]
                assert bias.data is not None
                tensors[bias.index] = _scaled(bias, np.rint(bias.data / _STEPS).astype(np.int32))
        operators.append(
            replace(operator, version=_VERSIONS.get(operator.opcode, operator.version))
        )
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def pack(values: np.ndarray) -> np.ndarray:
    """Two values a byte, the first one in its low nibble."""
    flat = values.astype(np.uint8).ravel() & 15
    padded = np.append(flat, np.zeros(flat.size % 2, np.uint8))
    return padded[0::2] | padded[1::2] << 4


def _scaled(tensor: Tensor, data: np.ndarray) -> Tensor:
    quantization = tensor.quantization
    assert quantization is not None
    scales = tuple(scale * _STEPS for scale in quantization.scales)
    zero_points = tuple(zero_point // _STEPS for zero_point in quantization.zero_points)
    return replace(
        tensor,
        quantization=replace(quantization, scales=scales, zero_points=zero_points),
        data=data,
    )

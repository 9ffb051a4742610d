"""4-bit weights, packed two in a byte, as weights of a byte each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converters.tflite.graph import Graph, Tensor, TensorType

# The version of each op with int8 weights per channel.
_INT8_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4}


def has_int4_weights(graph: Graph) -> bool:
    """Whether a graph has packed 4-bit constants."""
    return any(tensor.type is TensorType.INT4 for tensor in graph.tensors)


def with_int8_weights(graph: Graph) -> Graph:
    """The same network with each packed 4-bit weight in a byte of its own.

    The integers and scales are the same, and so is every result: TFLM's int4 kernels unpack in
    this way before they compute. The tensors remember that they were packed.
    """
    packed = {tensor.index for tensor in graph.tensors if tensor.type is TensorType.INT4}
    operators = (
        replace(op, version=_INT8_VERSIONS.get(op.opcode, op.version))
        if packed.intersection(op.inputs)
        else op
        for op in graph.operators
    )
    tensors = (_unpacked(tensor) if tensor.index in packed else tensor for tensor in graph.tensors)
    return replace(graph, tensors=tuple(tensors), operators=tuple(operators))


def _unpacked(tensor: Tensor) -> Tensor:
    assert tensor.data is not None  # TFLite's int4 is for constants only
    pairs = tensor.data.reshape(-1).view(np.int8)
    # The first of two values is the low nibble; an arithmetic shift extends its sign.
    nibbles = np.stack([np.left_shift(pairs, 4), pairs], axis=-1) >> 4
    values = nibbles.reshape(-1)[: tensor.elements].reshape(tensor.shape)
    return replace(tensor, data=values, type=TensorType.INT8, packed_type=TensorType.INT4)

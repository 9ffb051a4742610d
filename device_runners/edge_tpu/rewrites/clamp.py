"""Fused activations that are clamps: what they do to integers, and the operator that does it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converters.tflite.affine import quantize
from converters.tflite.graph import Activation, Graph, Operator, Tensor
from device_runners.edge_tpu.operands import EIGHT_BIT
from device_runners.edge_tpu.rewrites.edit import GraphEdit
from device_runners.edge_tpu.rewrites.edit import operator as new_operator

_BOUNDS: dict[Activation, tuple[float | None, float | None]] = {
    Activation.RELU: (0.0, None),
    Activation.RELU6: (0.0, 6.0),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
}
# Activation -> version of its int8 (or uint8) kernel.
_VERSIONS = {Activation.RELU: 2, Activation.RELU6: 2, Activation.RELU_N1_TO_1: 1}


def is_clamp(graph: Graph, operator: Operator, activation: Activation) -> bool:
    """Whether a fused activation is a clamp on one 8-bit tensor."""
    outputs = graph.outputs_of(operator)
    return (
        activation in _BOUNDS
        and len(outputs) == 1
        and outputs[0].type in EIGHT_BIT
        and outputs[0].quantization is not None
    )


def with_clamp_behind(
    graph: Graph, operator: Operator, plain: Operator, activation: Activation
) -> Graph:
    """Puts an operator without its activation in place, and the activation behind it.

    The activation is left out where it does nothing. It has the same scale and zero point before
    and after it, so that it rescales by exactly 1 and clamps the integers that the fused one did.
    """
    output = graph.outputs_of(operator)[0]
    edit = GraphEdit(graph)
    if _clamps_nothing(output, activation):
        edit.replace(operator, plain)
        return edit.graph()
    between = edit.like(output, "without_activation")
    clamp = new_operator(activation.value, _VERSIONS[activation], None, [between], [output.index])
    edit.replace(operator, replace(plain, outputs=(between,)), clamp)
    return edit.graph()


def _clamps_nothing(output: Tensor, activation: Activation) -> bool:
    """Whether the activation's bounds, quantized, are the ends of the type's range, or beyond."""
    limits = np.iinfo(output.type.dtype)
    low, high = _BOUNDS[activation]
    return (low is None or int(quantize(np.array(low), output)) == limits.min) and (
        high is None or int(quantize(np.array(high), output)) == limits.max
    )

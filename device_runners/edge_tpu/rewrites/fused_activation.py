"""Takes the fused activation out of pooling.

The Edge TPU pools without one; TensorFlow fuses a ReLU that follows.

Exact: pooling gives integers of the output's own scale and zero point, and the activation behind
it, which has the same ones, clamps those at the bounds of the fused one. Where the clamp is the
whole range of the type it is left out.
"""

from __future__ import annotations

from dataclasses import replace

from converters.tflite.graph import Activation, Graph, Operator
from converters.tflite.options import Pool2DOptions
from device_runners.edge_tpu.rewrites.clamp import is_clamp, with_clamp_behind

_OPS = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D"})


def match(graph: Graph, operator: Operator) -> bool:
    """One of these two with an activation that is a clamp, on 8-bit tensors."""
    options = operator.options
    return (
        operator.opcode in _OPS
        and isinstance(options, Pool2DOptions)
        and is_clamp(graph, operator, options.fused_activation_function)
    )


def transform(graph: Graph, operator: Operator) -> Graph:
    """The op alone and, where the clamp can bite, the activation behind it."""
    options = operator.options
    assert isinstance(options, Pool2DOptions)
    plain = replace(operator, options=replace(options, fused_activation_function=Activation.NONE))
    return with_clamp_behind(graph, operator, plain, options.fused_activation_function)

"""Takes the fused activation out of TRANSPOSE_CONV, which then needs version 3, not 4.

TensorFlow fuses a ReLU that follows Conv2DTranspose; the compiler's TFLite can't read that
version and refuses the whole file.

Exact: where the clamp is the whole range of the output's type (a ReLU behind zero point -128) it
does nothing and is left out. Elsewhere an activation follows the convolution, with the same scale
and zero point before and after it: its rescaling is by exactly 1, so that it clamps the same
integers at the same bounds as the fused one.
"""

from __future__ import annotations

from dataclasses import replace

from converters.tflite.graph import Activation, Graph, Operator
from converters.tflite.options import TransposeConvOptions
from device_runners.edge_tpu.operands import input_of
from device_runners.edge_tpu.rewrites.clamp import is_clamp, with_clamp_behind


def match(graph: Graph, operator: Operator) -> bool:
    """A TRANSPOSE_CONV with an activation that is a clamp, on an 8-bit tensor."""
    options = operator.options
    return (
        operator.opcode == "TRANSPOSE_CONV"
        and isinstance(options, TransposeConvOptions)
        and is_clamp(graph, operator, options.fused_activation_function)
    )


def transform(graph: Graph, operator: Operator) -> Graph:
    """Version 3 (2 without bias) and, where the clamp can bite, an activation behind it."""
    options = operator.options
    assert isinstance(options, TransposeConvOptions)
    plain = replace(
        operator,
        version=2 if input_of(graph, operator, 3) is None else 3,
        options=replace(options, fused_activation_function=Activation.NONE),
    )
    return with_clamp_behind(graph, operator, plain, options.fused_activation_function)

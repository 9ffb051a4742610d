"""Requantization constants, computed ahead of time as LiteRT's reference kernels compute them.

Here are the zero points and clamps; factors become integers in ``converters.tflite.multiplier``.
"""

from __future__ import annotations

import math

import numpy as np

from converters.tflite.graph import Activation, Tensor

INT8_MIN, INT8_MAX = -128, 127
INT16_MIN, INT16_MAX = -32768, 32767
INT32_MAX = 2**31 - 1


def quantized(tensor: Tensor, real: float) -> int:
    """``real`` in a tensor's quantization, not clamped; float32 division, ties away from zero."""
    quotient = np.float32(real) / np.float32(tensor.scale)
    return tensor.zero_point + int(math.copysign(math.floor(abs(float(quotient)) + 0.5), quotient))


def activation_range(tensor: Tensor, activation: Activation) -> tuple[int, int]:
    """The clamp [low, high] that a fused activation puts on the operator's output.

    ``low`` may exceed ``high`` for a quantization that can't represent the activation's range;
    callers refuse that.
    """
    bounds: dict[Activation, tuple[float | None, float | None]] = {
        Activation.NONE: (None, None),
        Activation.RELU: (0.0, None),
        Activation.RELU6: (0.0, 6.0),
        Activation.RELU_N1_TO_1: (-1.0, 1.0),
    }
    low, high = bounds[activation]
    limits = np.iinfo(tensor.type.dtype)
    return (
        limits.min if low is None else max(limits.min, quantized(tensor, low)),
        limits.max if high is None else min(limits.max, quantized(tensor, high)),
    )

"""Requantization constants, computed ahead of time as LiteRT's reference kernels compute them.

A real factor (a product and quotient of scales) becomes integers here, so that the generated code
needs no floating point. Formulas: TFLite's ``QuantizeMultiplier`` and, with its two roundings,
``MultiplyByQuantizedMultiplier``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from converters.tflite.graph import Activation, Tensor

INT8_MIN, INT8_MAX = -128, 127
INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Multiplier:
    """The factor ``value * 2**(shift - 31)``; ``value`` is 0 or in [2**30, 2**31)."""

    value: int
    shift: int

    def apply(self, x: int) -> int:
        """``x`` times the factor, with the kernels' two roundings; any size of ``x``."""
        left, right = max(self.shift, 0), max(-self.shift, 0)
        high = ((x << left) * self.value + (1 << 30)) >> 31
        if right == 0:
            return high
        return (high + (1 << (right - 1)) - (high < 0)) >> right


def quantize_multiplier(factor: float) -> Multiplier:
    """The nearest ``Multiplier``; factors below 2**-32 become 0, as in the reference."""
    if factor == 0.0:
        return Multiplier(0, 0)
    fraction, exponent = math.frexp(factor)
    value = math.floor(fraction * 2**31 + 0.5)
    if value == 2**31:
        value, exponent = 2**30, exponent + 1
    return Multiplier(0, 0) if exponent < -31 else Multiplier(value, exponent)


def quantize_to_int8(tensor: Tensor, real: float) -> int:
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
    return (
        INT8_MIN if low is None else max(INT8_MIN, quantize_to_int8(tensor, low)),
        INT8_MAX if high is None else min(INT8_MAX, quantize_to_int8(tensor, high)),
    )

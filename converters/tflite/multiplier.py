"""The fixed-point factor by which TFLite's integer kernels rescale their accumulators.

Formulas: ``QuantizeMultiplier`` and, with its two roundings, ``MultiplyByQuantizedMultiplier`` of
TFLite's kernels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


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
    """The nearest ``Multiplier``; factors below 2**-32 become 0, as in the kernels."""
    if factor == 0.0:
        return Multiplier(0, 0)
    fraction, exponent = math.frexp(factor)
    value = math.floor(fraction * 2**31 + 0.5)
    if value == 2**31:
        value, exponent = 2**30, exponent + 1
    return Multiplier(0, 0) if exponent < -31 else Multiplier(value, exponent)

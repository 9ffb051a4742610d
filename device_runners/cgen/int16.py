"""16-bit activations with 8-bit weights ("16x8"): what the ops that have them share.

int16 tensors have the zero point 0. Sums of products are requantized with one rounding of a 64-bit
product, not with two of 32-bit ones: TFLite's ``MultiplyByQuantizedMultiplier`` for 64-bit sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from converters.tflite.graph import Tensor, TensorType
from converters.tflite.multiplier import Multiplier
from device_runners.cgen.checks import describe
from device_runners.cgen.operation import Emission, OpContext, Operation

REASON = "int16 activations, on all cores"
"""Why an operator takes a kernel for them: there is one, in portable C."""


def is_wide(context: OpContext) -> bool:
    """Whether an operator reads or computes int16 activations; constants and states are none."""
    computed = (t for t in context.inputs if t is not None and not t.is_constant)
    tensors = (*(t for t in computed if not t.is_variable), *context.outputs)
    return any(tensor.type is TensorType.INT16 for tensor in tensors)


def with_int16(
    operation: Operation,
    check: Callable[[OpContext], Iterator[str]],
    emit: Callable[[OpContext], Emission],
) -> Operation:
    """The operation, with a check and calls of their own for operators that have int16 tensors."""
    return replace(
        operation,
        check=lambda context: (check if is_wide(context) else operation.check)(context),
        emit=lambda context: (emit if is_wide(context) else operation.emit)(context),
        int16=True,
    )


_POWER_TOLERANCE = 1e-3
_UNCLEAR = 1e-5


def power_of_two(scale: float) -> int | None:
    """n for a scale of 2^n, as near as the reference wants it (``CheckedLog2``); else None."""
    power = round(math.log2(scale))
    return power if abs(math.log2(scale) - power) < _POWER_TOLERANCE else None


def check_power(tensor: Tensor) -> Iterator[str]:
    """A scale that clearly is a power of two, or isn't: the reference decides it in float32."""
    distance = abs(math.log2(tensor.scale) - round(math.log2(tensor.scale)))
    if abs(distance - _POWER_TOLERANCE) < _UNCLEAR:
        yield f"has the scale {tensor.scale:.9g} ({describe(tensor)}), neither a power of 2 nor not"


@dataclass(frozen=True)
class SumMultiplier:
    """The factor ``value * 2**-shift`` of a sum of products."""

    value: int
    shift: int

    def apply(self, x: int) -> int:
        """``x`` times the factor, ties towards positive infinity."""
        return (x * self.value + (1 << (self.shift - 1))) >> self.shift

    @property
    def in_words(self) -> int | None:
        """The value of the same factor with a shift of 32; None if there is none below 2^31."""
        if self.value == 0:
            return 0
        left = 32 - self.shift
        return self.value << left if 0 <= left <= _MULTIPLIER_BITS else None


_MULTIPLIER_BITS = 15
_ROUNDS_TO_32768 = 0x7FFF0000


def sum_multiplier(multiplier: Multiplier) -> SumMultiplier:
    """The factor with 15 bits instead of 31, as the reference takes it for 64-bit sums."""
    value = (multiplier.value + (1 << 15)) >> 16
    return SumMultiplier(
        value if multiplier.value < _ROUNDS_TO_32768 else 0x7FFF, 15 - multiplier.shift
    )

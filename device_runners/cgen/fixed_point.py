"""Functions in fixed point, bit for bit as the reference computes them.

Formula of SOFTMAX's exponential: gemmlowp's ``exp_on_negative_values`` for Q5.26 inputs. The
argument is split into a remainder in (-1/4, 0], whose exponential is a Taylor polynomial around
-1/8, and multiples of 1/4, one factor for each bit. Only distances of int8 values from a row's
maximum occur, so the results are a table of at most 256 entries.
"""

from __future__ import annotations

import math

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen.requantization import INT32_MAX

_INTEGER_BITS = 5
_FRACTION_BITS = 31 - _INTEGER_BITS
_EXP_MINUS_EIGHTH = 1895147668  # exp(-1/8) in Q0.31
_HALF_SQRT_2 = 1518500250  # sqrt(2) / 2 in Q0.31
_THIRD = 715827883  # 1/3 in Q0.31
# exp(-2^k) in Q0.31 for k = -2 ... 4
_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def high_mul(a: int, b: int) -> int:
    """``round(a * b / 2**31)``, ties towards positive infinity."""
    return (a * b + (1 << 30)) >> 31


def rounding_shift(x: int, bits: int) -> int:
    """``round(x / 2**bits)``, ties away from zero."""
    return (x + (1 << (bits - 1)) - (x < 0)) >> bits


def exp_on_negative(x: int) -> int:
    """``exp(x)`` in Q0.31 for ``x <= 0`` in Q5.26."""
    if x == 0:
        return INT32_MAX
    quarter = 1 << (_FRACTION_BITS - 2)
    small = (x & (quarter - 1)) - quarter
    result = _exp_of_remainder(small << _INTEGER_BITS)
    quarters = small - x
    for bit, factor in enumerate(_POWERS):
        if quarters & (quarter << bit):
            result = high_mul(result, factor)
    return result


def _exp_of_remainder(a: int) -> int:
    """``exp(a)`` in Q0.31 for ``a`` in [-1/4, 0), Q0.31."""
    x = a + (1 << 28)
    x2 = high_mul(x, x)
    x3 = high_mul(x2, x)
    x4 = high_mul(x2, x2)
    # x + x^2/2 + x^3/6 + x^4/24 = x + (x^2 + (x^3 + x^4/4) / 3) / 2
    tail = rounding_shift(high_mul(rounding_shift(x4, 2) + x3, _THIRD) + x2, 1)
    return _EXP_MINUS_EIGHTH + high_mul(_EXP_MINUS_EIGHTH, x + tail)


def softmax_multiplier(beta: float, input_scale: float) -> Multiplier:
    """The factor from an int8 difference to Q5.26, capped as in the reference."""
    return quantize_multiplier(min(beta * input_scale * (1 << _FRACTION_BITS), float(INT32_MAX)))


def softmax_exponentials(beta: float, input_scale: float) -> list[int]:
    """``exp(-d * beta * input_scale)`` in Q0.31 for d = 0, 1, ...; up to 256 entries.

    The table ends where the reference stops counting (a product of 31 or so and more).
    """
    multiplier = softmax_multiplier(beta, input_scale)
    largest = (1 << _INTEGER_BITS) - 1
    radius = math.floor(largest * (1 << _FRACTION_BITS) / (1 << multiplier.shift))
    return [exp_on_negative(multiplier.apply(-d)) for d in range(min(radius, 255) + 1)]


def inverse_square_root(x: int) -> Multiplier:
    """``1 / sqrt(x)`` for an integer ``x > 0``, below 2**29.

    Formula: five steps of Newton's method from 1 in Q3.28, as in TFLite's
    ``GetInvSqrtQuantizedMultiplierExp``, for ``x`` scaled by a power of 4 to [2**27, 2**29).
    """
    if x == 1:
        return Multiplier(INT32_MAX, 0)
    shift = 11
    while x < 1 << 27:
        x, shift = x * 4, shift - 1
    half, root = rounding_shift(x >> 1, 1), 1 << 28
    for _ in range(5):
        cube = high_mul(high_mul(root, root), root) << 6
        root = (high_mul(3 << 27, root) - high_mul(half, cube)) << 3
    root = high_mul(root, _HALF_SQRT_2)
    return Multiplier(root << -shift, 0) if shift < 0 else Multiplier(root, -shift)

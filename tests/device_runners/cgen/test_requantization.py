from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.tflite.graph import Activation, Quantization, Tensor, TensorType
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen.requantization import activation_range

_FACTORS = st.floats(2.0**-28, 2.0**8)
_ACCUMULATORS = st.integers(-(2**31), 2**31 - 1)


@given(_FACTORS)
def test_multipliers_are_normal_and_within_half_a_step(factor: float) -> None:
    multiplier = quantize_multiplier(factor)
    assert 2**30 <= multiplier.value < 2**31
    step = Fraction(2) ** (multiplier.shift - 31)
    assert abs(multiplier.value * step - Fraction(factor)) <= step / 2


@given(_FACTORS, st.integers(-(2**22), 2**22))
def test_two_roundings_err_by_less_than_one(factor: float, x: int) -> None:
    multiplier = quantize_multiplier(factor)
    exact = x * multiplier.value * Fraction(2) ** (multiplier.shift - 31)
    assert abs(multiplier.apply(x) - exact) < 1


@given(st.floats(2.0**-28, 0.999), _ACCUMULATORS)
def test_two_roundings_equal_gemmlowps_definition(factor: float, x: int) -> None:
    """Saturating rounding doubling high multiply, then rounding division by a power of two."""
    multiplier = quantize_multiplier(factor)
    product = x * multiplier.value
    nudge = 2**30 if product >= 0 else 1 - 2**30
    high = int(Fraction(product + nudge, 2**31))  # truncates, as C's division
    exponent = -multiplier.shift
    remainder = high & ((1 << exponent) - 1)
    threshold = (((1 << exponent) - 1) >> 1) + (high < 0)
    assert multiplier.apply(x) == (high >> exponent) + (remainder > threshold)


def test_tiny_factors_become_zero() -> None:
    assert quantize_multiplier(2.0**-40) == Multiplier(0, 0)
    assert quantize_multiplier(0.0) == Multiplier(0, 0)


def _output(scale: float, zero_point: int) -> Tensor:
    quantization = Quantization((float(np.float32(scale)),), (zero_point,))
    return Tensor(0, "y", (1,), TensorType.INT8, quantization)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (Activation.NONE, (-128, 127)),
        (Activation.RELU, (-10, 127)),
        (Activation.RELU6, (-10, 50)),
        (Activation.RELU_N1_TO_1, (-20, 0)),
    ],
)
def test_activations_are_clamps_in_the_outputs_quantization(
    activation: Activation, expected: tuple[int, int]
) -> None:
    assert activation_range(_output(0.1, -10), activation) == expected


def test_activation_ranges_stay_in_int8() -> None:
    assert activation_range(_output(0.001, 100), Activation.RELU6) == (100, 127)
    assert activation_range(_output(0.001, -100), Activation.RELU_N1_TO_1) == (-128, 127)

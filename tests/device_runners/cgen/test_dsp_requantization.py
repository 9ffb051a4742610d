"""Every form of requantization equals the reference's two roundings for every accumulator."""

from __future__ import annotations

import numpy as np
import pytest

from converters.tflite.multiplier import Multiplier
from device_runners.cgen.dsp_requantization import (
    FIXED_SHIFT,
    INT4_FIXED_SHIFT,
    Constants,
    Requantizer,
    requantizer,
)

LOW, HIGH = -200_000, 1_000_000


def reference(x: np.ndarray, multiplier: Multiplier, zero_point: int) -> np.ndarray:
    exponent = -multiplier.shift
    high = (x * multiplier.value + (1 << 30)) >> 31
    return np.clip(
        ((high + (1 << (exponent - 1)) - (high < 0)) >> exponent) + zero_point, -128, 127
    )


def floor_form(x: np.ndarray, c: Constants) -> np.ndarray:
    high = ((x + c.offset) * c.multiplier + (c.addend << 32)) >> 32
    assert np.abs(high).max() < 2**31
    return np.clip(high >> c.shift, -128, 127)


def rounded_form(x: np.ndarray, c: Constants) -> np.ndarray:
    high = (x * (c.multiplier + (1 << 32)) + (1 << 31)) >> 32
    total = high + c.addend - (x < 0)
    assert np.abs(total).max() < 2**31
    return np.clip(total >> c.shift, -128, 127)


def forms(
    seed: int, exponent: int, zero_point: int, fixed_shift: int = FIXED_SHIFT
) -> tuple[Multiplier, Requantizer]:
    value = int(np.random.default_rng(seed).integers(2**30, 2**31))
    multiplier = Multiplier(value, -exponent)
    found = requantizer(multiplier, LOW, HIGH, zero_point, -128, 127, fixed_shift)
    return multiplier, found


@pytest.mark.parametrize("exponent", [1, 2, 5, 6, 8, 9, 11])
@pytest.mark.parametrize("seed", range(3))
def test_all_forms_behind_a_relu(seed: int, exponent: int) -> None:
    multiplier, found = forms(seed, exponent, -128)
    x = np.arange(LOW, HIGH + 1)
    expected = reference(x, multiplier, -128)
    assert found.rounded is not None
    np.testing.assert_array_equal(rounded_form(x, found.rounded), expected)
    for constants in (found.floor, found.fixed):
        if constants is not None:
            np.testing.assert_array_equal(floor_form(x, constants), expected)
    assert found.floor is not None
    if exponent in (5, 6):  # with more digits to lose, some multipliers have no fixed form
        assert found.fixed is not None


@pytest.mark.parametrize("exponent", [1, 2, 5])
def test_the_fixed_form_of_weights_of_four_bits(exponent: int) -> None:
    multiplier, found = forms(exponent, exponent, -128, INT4_FIXED_SHIFT)
    assert found.fixed is not None and found.fixed.shift == INT4_FIXED_SHIFT
    x = np.arange(LOW, HIGH + 1)
    np.testing.assert_array_equal(floor_form(x, found.fixed), reference(x, multiplier, -128))


@pytest.mark.parametrize("zero_point", [-128, -3, 127])
@pytest.mark.parametrize("scale_bits", [4, 12])
@pytest.mark.parametrize("left", [0, 1, 2])
def test_scaled_sums_are_rounded_once_for_factors_of_a_half_and_more(
    left: int, scale_bits: int, zero_point: int
) -> None:
    multiplier = Multiplier(int(np.random.default_rng(left).integers(2**30, 2**31)), left)
    limits = -(1 << 19), 1 << 19
    found = requantizer(multiplier, *limits, zero_point, -128, 127, scale_bits=scale_bits)
    assert found.floor is None and found.rounded is None
    assert (found.once is None) == (scale_bits - 1 - left < 1)
    x = np.arange(-3000, 3001)
    expected = [min(max(multiplier.apply(int(each)) + zero_point, -128), 127) for each in x]
    if found.once is not None:
        np.testing.assert_array_equal(floor_form(x << scale_bits, found.once), expected)


@pytest.mark.parametrize("zero_point", [-127, -3, 0, 127])
@pytest.mark.parametrize("exponent", [1, 4, 7, 12])
def test_the_rounded_form_takes_any_zero_point(exponent: int, zero_point: int) -> None:
    multiplier, found = forms(exponent, exponent, zero_point)
    assert found.fixed is None and found.floor is None and found.rounded is not None
    x = np.arange(LOW, HIGH + 1)
    np.testing.assert_array_equal(
        rounded_form(x, found.rounded), reference(x, multiplier, zero_point)
    )


def test_a_channel_that_never_changes_is_constant_in_every_form() -> None:
    found = requantizer(Multiplier(2**30, -28), -1000, 1000, 17, -128, 127)
    assert found.constant
    nothing = np.zeros(1, np.int64)
    assert found.fixed is not None and floor_form(nothing, found.fixed)[0] == 17
    assert found.floor is not None and floor_form(nothing, found.floor)[0] == 17
    assert found.rounded is not None and rounded_form(nothing, found.rounded)[0] == 17


def test_a_left_shift_has_no_form() -> None:
    found = requantizer(Multiplier(2**30, 1), -1000, 1000, 0, -128, 127)
    assert found == Requantizer(None, None, None)

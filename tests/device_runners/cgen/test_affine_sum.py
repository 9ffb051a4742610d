"""ADD and SUB as one affine function: equal to the reference, operand pair by operand pair."""

from __future__ import annotations

import numpy as np
import pytest

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen.affine_sum import affine_sum


def multipliers(first: float, second: float, output: float) -> tuple[Multiplier, ...]:
    common = 2 * max(first, second)
    factors = (first / common, second / common, common / (2**20 * output))
    return tuple(quantize_multiplier(factor) for factor in factors)


@pytest.mark.parametrize(
    ("first", "second", "output"),
    [(0.05, 0.05, 0.05), (0.05, 0.3, 0.2), (0.3, 0.0011, 0.1), (1.0, 1.0, 0.3)],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_equal_for_every_pair_that_is_drawn(
    first: float, second: float, output: float, sign: int
) -> None:
    m = multipliers(first, second, output)
    zero_points = (-128, 5, 17)
    found = affine_sum(m[0], m[1], m[2], zero_points, sign)
    assert found is not None
    rng = np.random.default_rng(0)
    for a, b in rng.integers(-128, 128, (3000, 2)).tolist():
        scaled = [
            factor.apply((value - zero_point) << 20)
            for factor, value, zero_point in zip(m[:2], (a, b), zero_points[:2], strict=True)
        ]
        expected = min(max(m[2].apply(scaled[0] + sign * scaled[1]) + 17, -128), 127)
        total = a * found.factors[0] + found.addend + b * found.factors[1]
        assert -(2**31) <= total < 2**31
        assert min(max(total >> found.shift, -128), 127) == expected


def test_factors_that_do_not_fit_have_no_affine_function() -> None:
    m = multipliers(1.0, 1.0, 0.0001)
    assert affine_sum(m[0], m[1], m[2], (0, 0, 0)) is None

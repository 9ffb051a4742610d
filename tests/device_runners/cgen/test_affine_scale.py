"""A change of scale as one multiplication, one addition and one shift."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from converters.tflite.multiplier import quantize_multiplier
from device_runners.cgen.affine_scale import affine_scale

VALUES = np.arange(-128, 128)


def expected(ratio: float, zero_points: tuple[int, int], low: int, high: int) -> np.ndarray:
    multiplier = quantize_multiplier(ratio)
    scaled = [multiplier.apply(int(x) - zero_points[0]) + zero_points[1] for x in VALUES]
    return np.clip(np.array(scaled, np.int64), low, high)


@given(
    st.floats(1e-6, 1e4),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(sorted),
)
def test_what_is_found_gives_every_result_without_overflow(
    ratio: float, zero_points: tuple[int, int], ends: list[int]
) -> None:
    results = expected(ratio, zero_points, *ends)
    found = affine_scale(ratio, results, *ends)
    if found is None:
        return
    assert (np.clip(found.apply(VALUES.astype(np.int64)), *ends) == results).all()
    assert abs(found.addend) < 2**31 and np.abs(VALUES * found.factor + found.addend).max() < 2**31


def test_nearly_every_ratio_of_scales_has_one() -> None:
    rng = np.random.default_rng(0)
    ratios = [math.exp(x) for x in rng.uniform(-5, 3, 300)] + [
        n / d for n in (1, 2, 3, 5) for d in (1, 2, 4, 10)
    ]
    missing = [
        ratio
        for ratio in ratios
        if affine_scale(ratio, expected(ratio, (-128, 3), -128, 127), -128, 127) is None
    ]
    assert len(missing) < len(ratios) / 100


def test_results_that_are_no_affine_function_have_none() -> None:
    assert affine_scale(1.0, (VALUES**2 % 97).astype(np.int64), -128, 127) is None

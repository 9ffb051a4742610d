"""Quantizers: values on the grid, ranges as documented, straight-through gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converters.errors import TidepoolError
from converters.load.keras_runtime import import_keras
from converters.qat import (
    AllValuesQuantizer,
    FixedRangeQuantizer,
    LastValueQuantizer,
    LearnedRangeQuantizer,
    MovingAverageQuantizer,
    QuantizeActivation,
)
from converters.qat.grid import nudge

keras = import_keras()

REALS = st.floats(-100, 100, width=32, allow_subnormal=False)
WEIGHTS = hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=REALS)


def active(quantizer: Any, batches: list[Any], sources: int = 1) -> QuantizeActivation:
    layer = QuantizeActivation(quantizer, sources)
    for number, batch in enumerate(batches):
        layer(tf.constant(batch, tf.float32), source=number % sources, training=True)
    return layer


def limits(layer: QuantizeActivation) -> tuple[float, float]:
    low, high = layer.quantizer.limits(layer._range_weights)
    return float(low), float(high)


@given(values=WEIGHTS, bits=st.sampled_from([3, 4, 8]), per_axis=st.booleans())
@settings(max_examples=60, deadline=None)
def test_rounded_weights_lie_on_their_grid(values: Any, bits: int, per_axis: bool) -> None:
    quantizer = LastValueQuantizer(bits, per_axis, symmetric=True, narrow_range=True)
    rounded = np.asarray(quantizer(tf.constant(values), False, {}))
    grid = quantizer.weight_grid(tf.constant(values), {})
    greatest = 2 ** (bits - 1) - 1
    assert np.abs(grid.integers.astype(int)).max() <= greatest
    np.testing.assert_allclose(rounded, grid.real, rtol=1e-5, atol=1e-12)
    scales = np.broadcast_to(grid.scales, values.shape)
    # Half a step away at most, and the greatest weight of each channel is a grid point.
    assert np.all(np.abs(rounded - values) <= 0.501 * scales + 1e-9)
    if np.abs(values).max() > 1e-3:
        assert np.abs(grid.integers.astype(int)).max() == greatest


@given(
    values=hnp.arrays(np.float32, st.integers(2, 40), elements=REALS),
    quantizer=st.sampled_from(
        [
            AllValuesQuantizer(),
            LastValueQuantizer(),
            MovingAverageQuantizer(decay=0.5),
            MovingAverageQuantizer(16, symmetric=True, narrow_range=True),
            FixedRangeQuantizer(),
            LearnedRangeQuantizer(initial_min=-2.0, initial_max=3.0),
        ]
    ),
)
@settings(max_examples=60, deadline=None)
def test_rounded_activations_lie_on_the_grid_that_is_exported(values: Any, quantizer: Any) -> None:
    values = np.append(values, np.float32(1.0))
    layer = active(quantizer, [values])
    rounded = np.asarray(layer(tf.constant(values), training=False), np.float64)
    trained = layer.trained_range()
    integers = rounded / trained.scale + trained.zero_point
    least = -(2 ** (trained.bits - 1)) + trained.narrow
    greatest = 2 ** (trained.bits - 1) - 1
    assert np.all(np.abs(integers - np.rint(integers)) < 2e-2)
    assert np.all((np.rint(integers) >= least) & (np.rint(integers) <= greatest))


@given(low=st.floats(-50, 0), high=st.floats(0.01, 50), bits=st.sampled_from([4, 8]))
@settings(max_examples=100, deadline=None)
def test_nudged_range_is_that_of_the_kernel(low: float, high: float, bits: int) -> None:
    trained = nudge(low, high, bits, False)
    ends = tf.quantization.fake_quant_with_min_max_vars([-1e4, 0.0, 1e4], low, high, bits)
    np.testing.assert_allclose(ends, [trained.minimum, 0.0, trained.maximum], rtol=1e-6)
    assert -(2 ** (bits - 1)) <= trained.zero_point < 2 ** (bits - 1)


def test_all_values_keeps_the_extremes() -> None:
    assert limits(active(AllValuesQuantizer(), [[-1.0, 2.0], [-3.0, 1.0]])) == (-3.0, 2.0)


def test_last_value_forgets() -> None:
    assert limits(active(LastValueQuantizer(), [[-1.0, 2.0], [-3.0, 1.0]])) == (-3.0, 1.0)


def test_moving_average_moves_from_its_initial_range() -> None:
    layer = active(MovingAverageQuantizer(decay=0.75), [[-2.0, 2.0]])
    np.testing.assert_allclose(limits(layer), (-5.0, 5.0))


def test_range_of_several_sources_covers_them_all() -> None:
    layer = active(LastValueQuantizer(), [[-1.0, 2.0], [-3.0, 1.0]], sources=2)
    assert limits(layer) == (-3.0, 2.0)
    layer(tf.constant([-0.5, 0.5]), source=1, training=True)
    assert limits(layer) == (-1.0, 2.0)


def test_range_always_holds_zero() -> None:
    assert limits(active(AllValuesQuantizer(), [[2.0, 3.0]])) == (0.0, 3.0)


def test_inference_leaves_the_range() -> None:
    layer = active(AllValuesQuantizer(), [[-1.0, 2.0]])
    layer(tf.constant([9.0]), training=False)
    assert limits(layer) == (-1.0, 2.0)


def test_delay_lets_values_through_and_observes_them() -> None:
    layer = QuantizeActivation(MovingAverageQuantizer(2, decay=0.0, delay=2))
    values = tf.constant([-1.0, 0.3, 1.0])
    for _ in range(2):
        np.testing.assert_array_equal(layer(values, training=True), values)
    assert limits(layer) == (-1.0, 1.0)
    assert not np.allclose(layer(values, training=True), values)
    assert not np.allclose(layer(values, training=False), values)


def test_gradient_is_one_inside_of_the_range_and_zero_outside() -> None:
    layer = active(MovingAverageQuantizer(), [[0.0]])
    values = tf.constant([-7.0, -1.3, 0.0, 2.7, 7.0])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(layer(values, training=False))
    np.testing.assert_array_equal(tape.gradient(total, values), [0, 1, 1, 1, 0])


def test_gradient_of_weights_is_straight_through_for_each_channel() -> None:
    quantizer = LastValueQuantizer(4, per_axis=True, symmetric=True, narrow_range=True)
    values = tf.constant([[0.11, -20.0], [0.07, 13.0]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(quantizer(values, True, {}))
    np.testing.assert_array_equal(tape.gradient(total, values), np.ones((2, 2)))


def test_learned_range_has_the_gradient_of_lsq() -> None:
    layer = QuantizeActivation(
        LearnedRangeQuantizer(4, symmetric=True, narrow_range=True, initial_max=7.0)
    )
    # The step is 1: once -Q, three times inside, once Q.
    values = tf.constant([-9.0, -2.3, 0.4, 3.6, 8.0])
    layer(values)
    variable = layer.trainable_variables[0]
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(layer(values, training=True))
    inputs, learned = tape.gradient(total, [values, variable])
    np.testing.assert_allclose(inputs, [0, 1, 1, 1, 0])
    by_step = (-7) + (-2 + 2.3) + (0 - 0.4) + (4 - 3.6) + 7
    # max = 7 steps; LSQ's factor is 1 / sqrt(elements * Q)
    expected = by_step / 7 / np.sqrt(5 * 7)
    np.testing.assert_allclose(float(learned), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "quantizer",
    [
        LastValueQuantizer(4, True, True, True),
        AllValuesQuantizer(),
        MovingAverageQuantizer(decay=0.9, initial_min=0.0, delay=7),
        LearnedRangeQuantizer(4, initial_min=0.0),
        FixedRangeQuantizer(minimum=-1.0, maximum=127 / 128),
    ],
)
def test_quantizer_survives_serialization(quantizer: Any) -> None:
    config = keras.saving.serialize_keras_object(quantizer)
    restored = keras.saving.deserialize_keras_object(config)
    assert restored == quantizer
    assert restored.get_config() == quantizer.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LastValueQuantizer(1), "1 bits"),
        (lambda: MovingAverageQuantizer(decay=1.5), "decay"),
        (lambda: MovingAverageQuantizer(initial_min=1.0), "doesn't hold 0"),
        (lambda: LearnedRangeQuantizer(initial_max=-1.0), "doesn't hold 0"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(TidepoolError, match=message):
        make()


def test_a_range_that_saw_nothing_is_refused_by_name() -> None:
    layer = QuantizeActivation(AllValuesQuantizer(), name="nothing_range")
    layer(tf.constant([1.0]), training=False)
    with pytest.raises(TidepoolError, match="nothing_range"):
        layer.trained_range()


def test_a_weight_grid_that_tflite_lacks_is_refused() -> None:
    with pytest.raises(TidepoolError, match="TFLite lacks"):
        LastValueQuantizer().weight_grid(tf.constant([[1.0, 2.0]]), {})

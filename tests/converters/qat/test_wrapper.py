"""QuantizeWrapper: batch normalization folds exactly; statistics can be frozen and re-estimated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from converters.errors import TidepoolError
from converters.load.keras_runtime import import_keras
from converters.qat import (
    KernelQuantizeConfig,
    LastValueQuantizer,
    QuantizeWrapper,
    SchemeQuantizeConfig,
    freeze_batch_norm,
    quantize_model,
    reestimate_batch_norm,
)
from converters.qat.runtime import Phase, phase

keras = import_keras()
L = keras.layers

PER_TENSOR = KernelQuantizeConfig(
    LastValueQuantizer(8, per_axis=False, symmetric=True, narrow_range=True)
)


def wrapper(layer: Any, config: Any = None, shape: tuple[int, ...] = (4, 6, 6, 3)) -> Any:
    """A wrapper with a batch normalization that has been trained."""
    generator = np.random.default_rng(5)
    made = QuantizeWrapper(layer, config or SchemeQuantizeConfig(), L.BatchNormalization())
    made(generator.normal(0, 1, shape).astype(np.float32))
    count = made.batch_normalization.gamma.shape[0]
    made.batch_normalization.set_weights(
        [
            generator.uniform(-2, 2, count),
            generator.normal(0, 1, count),
            generator.normal(0, 1, count),
            generator.uniform(0.1, 3, count),
        ]
    )
    return made


def data(shape: tuple[int, ...] = (4, 6, 6, 3)) -> Any:
    return np.random.default_rng(6).normal(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("config", [None, PER_TENSOR], ids=["per channel", "per tensor"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Conv2D(5, 3),
        lambda: L.Conv2D(5, 3, use_bias=False),
        lambda: L.DepthwiseConv2D(3, depth_multiplier=2),
        lambda: L.Conv2DTranspose(5, 3, strides=2),
    ],
    ids=["conv", "conv without bias", "depthwise", "transposed"],
)
def test_exported_constants_compute_what_inference_does(make: Any, config: Any) -> None:
    made = wrapper(make(), config)
    inference = made(data(), training=False)
    with phase(Phase.EXPORT):
        exported = made(tf.constant(data()))
    np.testing.assert_allclose(exported, inference, rtol=2e-4, atol=2e-4)


def test_every_channel_uses_its_whole_grid() -> None:
    grid, _ = wrapper(L.DepthwiseConv2D(3, depth_multiplier=2)).baked()
    assert grid.integers.shape == (9, 6)
    np.testing.assert_array_equal(np.abs(grid.integers).max(0), 127)


def test_training_normalizes_with_the_statistics_of_the_batch() -> None:
    made = wrapper(L.Conv2D(5, 3))
    made.batch_normalization.set_weights([np.ones(5), np.zeros(5), np.zeros(5), np.ones(5)])
    outputs = np.asarray(made(data(), training=True))
    np.testing.assert_allclose(outputs.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(outputs.std((0, 1, 2)), 1, atol=1e-2)
    assert np.any(np.asarray(made.batch_normalization.moving_mean) != 0)


def test_double_convolution_trains_like_batch_normalization_up_to_rounding() -> None:
    made = wrapper(L.Conv2D(5, 3), PER_TENSOR)
    reference = made.batch_normalization(made.layer(data()), training=True)
    made = wrapper(made.layer, PER_TENSOR)
    outputs = made(data(), training=True)
    np.testing.assert_allclose(outputs, reference, atol=0.1)


def test_gradients_reach_kernel_gamma_and_beta_but_not_the_statistics() -> None:
    for config in (None, PER_TENSOR):
        made = wrapper(L.Conv2D(5, 3), config)
        normalize = made.batch_normalization
        watched = [made.layer.kernel, normalize.gamma, normalize.beta]
        weighting = tf.random.stateless_normal((4, 4, 4, 5), seed=(1, 2))
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(weighting * made(data(), training=True) ** 2)
        for gradient in tape.gradient(total, [variable.value for variable in watched]):
            assert np.abs(np.asarray(gradient)).max() > 0
        assert len(made.trainable_variables) == 4


def small_model() -> Any:
    inputs = keras.Input((6, 6, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(5, 3, use_bias=False)(inputs)))
    return keras.Model(inputs, L.BatchNormalization(name="last")(L.GlobalAveragePooling2D()(x)))


def test_reestimation_takes_the_mean_of_the_batches_statistics() -> None:
    model = quantize_model(small_model())
    batches = [data((8, 6, 6, 3)) * 2 + 1, data((8, 6, 6, 3)) * 3]
    for batch in batches:
        model(batch, training=True)
    ranges = [np.array(w) for w in model.weights if "range" in w.path]
    reestimate_batch_norm(model, [(batch, None) for batch in batches])
    made = next(layer for layer in model.layers if isinstance(layer, QuantizeWrapper))
    layers = model.layers
    rounded = layers[layers.index(made) - 1]
    kernel = made.baked()[0].real / (
        np.abs(made.batch_normalization.gamma)
        / np.sqrt(made.batch_normalization.moving_variance + made.batch_normalization.epsilon)
    )
    convolved = [tf.nn.conv2d(rounded(b), kernel, 1, "VALID") for b in batches]
    expected = np.mean([np.mean(c, (0, 1, 2)) for c in convolved], 0)
    np.testing.assert_allclose(made.batch_normalization.moving_mean, expected, atol=1e-4)
    variance = np.mean([np.var(c, (0, 1, 2)) for c in convolved], 0)
    np.testing.assert_allclose(made.batch_normalization.moving_variance, variance, rtol=1e-3)
    for before, after in zip(ranges, [w for w in model.weights if "range" in w.path], strict=True):
        np.testing.assert_array_equal(before, after)
    assert made.batch_normalization.momentum == 0.99


def test_reestimation_needs_data() -> None:
    with pytest.raises(TidepoolError, match="no batches"):
        reestimate_batch_norm(quantize_model(small_model()), [])


def test_frozen_batch_normalization_stays_while_training_goes_on() -> None:
    model = quantize_model(small_model())
    model.compile(keras.optimizers.SGD(0.1), "mse")
    targets = np.ones((8, 5), np.float32)
    model.fit(data((8, 6, 6, 3)), targets, verbose=0)
    made = next(layer for layer in model.layers if isinstance(layer, QuantizeWrapper))
    freeze_batch_norm(model)
    mean = np.array(made.batch_normalization.moving_mean)
    kernel = np.array(made.layer.kernel)
    model.fit(data((8, 6, 6, 3)) * 5, targets, verbose=0)
    np.testing.assert_array_equal(mean, made.batch_normalization.moving_mean)
    assert np.any(kernel != np.asarray(made.layer.kernel))

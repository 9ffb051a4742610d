"""Small Keras models for tests."""

from __future__ import annotations

from typing import Any

import numpy as np


def small_cnn(name: str = "small") -> Any:
    """A convolutional classifier for (8, 8, 1) inputs in 0..1, with fixed random weights."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    x = keras.Input((8, 8, 1), name="image")
    y = layers.Conv2D(8, 3, padding="same", name="conv")(x)
    y = layers.BatchNormalization(name="norm")(y)
    y = layers.ReLU(name="relu")(y)
    y = layers.DepthwiseConv2D(3, name="depthwise")(y)
    y = layers.Flatten(name="flatten")(y)
    y = layers.Dense(4, name="logits")(y)
    return keras.Model(x, layers.Softmax(name="softmax")(y), name=name)


def uniform_samples(count: int, shape: tuple[int, ...], seed: int = 0) -> list[list[np.ndarray]]:
    """Samples of one input, uniform in 0..1."""
    generator = np.random.default_rng(seed)
    return [[generator.uniform(0, 1, shape).astype(np.float32)] for _ in range(count)]

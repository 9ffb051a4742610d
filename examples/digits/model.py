"""A residual network with depthwise convolutions for 8x8 grey images of handwritten digits.

It is small enough for any microcontroller (about 8,000 parameters) and has one of each layer that
such networks are made of: convolution, depthwise convolution, batch norm, residual add, pooling,
dense and softmax.
"""

from __future__ import annotations

import keras
from keras import layers


def build_model() -> keras.Model:
    """The untrained model: (8, 8, 1) pixels in 0..1 to (10,) probabilities."""
    image = keras.Input(shape=(8, 8, 1), name="image")
    x = _convolution(image, 16, kernel=3, name="stem")
    x = _separable_residual(x, name="block1")
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = _convolution(x, 32, kernel=3, name="widen")
    x = _separable_residual(x, name="block2")
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dense(10, name="logits")(x)
    return keras.Model(image, layers.Softmax(name="probabilities")(x), name="digits")


def _convolution(
    x: keras.KerasTensor, filters: int, *, kernel: int, name: str
) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _separable_residual(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Adds a depthwise and a pointwise convolution of ``x`` to ``x``."""
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    y = layers.BatchNormalization(name=f"{name}_depthwise_norm")(y)
    y = layers.ReLU(name=f"{name}_depthwise_relu")(y)
    y = layers.Conv2D(x.shape[-1], 1, use_bias=False, name=f"{name}_pointwise")(y)
    y = layers.BatchNormalization(name=f"{name}_pointwise_norm")(y)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))

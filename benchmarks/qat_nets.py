"""The networks that the QAT benchmark trains, for Keras 3 and for Keras 2 alike.

Every function takes the Keras to build with as its first argument (``keras``, or ``tf_keras`` for
tensorflow-model-optimization), so both sides of the comparison have one architecture: this text.
Weights travel between them as a flat list of arrays in the layers' order, which is the same in
both. Nothing is imported but NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Weights = list[np.ndarray]
Labelled = tuple[np.ndarray, np.ndarray]

CLASSES = 10

# Filters and stride of the blocks.
_SEPARABLE = ((32, 1), (48, 2), (64, 1), (64, 1))
_NARROW = ((16, 1), (24, 2), (32, 1), (32, 1))
# A rescaled channel is made larger or smaller by up to this factor.
_IMBALANCE = 16.0
_EXPOSURES = 8
_STOPS = 8


def build(keras: Any, net: str) -> Any:
    """A network with new weights; its output are logits (n, 10).

    Args:
        keras: The module to build with: ``keras`` or ``tf_keras``.
        net: A name of ``NETS``.
    """
    return NETS[net].architecture(keras)


def separable(keras: Any) -> Any:
    """MobileNet V1 in small, for 20x20 pixels: four separable blocks, batch norm, ReLU."""
    return _mobilenet(keras, "separable", (20, 20, 1), (16, 2), _SEPARABLE)


def narrow(keras: Any) -> Any:
    """The same with fewer channels, for 8x8 pixels."""
    return _mobilenet(keras, "narrow", (8, 8, 1), (8, 1), _NARROW)


def _mobilenet(
    keras: Any,
    title: str,
    shape: tuple[int, int, int],
    stem: tuple[int, int],
    blocks: Sequence[tuple[int, int]],
) -> Any:
    layers = keras.layers
    image = layers.Input(shape, name="image")
    filters, stride = stem
    x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False, name="stem")(
        image
    )
    x = _normalized(layers, x, "stem")
    for number, (filters, stride) in enumerate(blocks):
        name = f"block{number}"
        x = layers.DepthwiseConv2D(
            3, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
        )(x)
        x = _normalized(layers, x, f"{name}_depthwise")
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_pointwise")(x)
        x = _normalized(layers, x, f"{name}_pointwise")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x), name=title)


def _normalized(layers: Any, x: Any, name: str) -> Any:
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def imbalanced(net: Any, seed: int) -> Weights:
    """Weights of ``separable`` that compute the same function with channels out of balance.

    ReLU is positively homogeneous, so a channel may leave its batch norm s times larger (gamma
    and beta times s) if the next layer divides it by s again. In floating point nothing changes;
    in int8 a tensor has one scale, which the largest channel sets, and a pointwise filter has
    one, which the smallest channel's weights set. (The inverse of the cross-layer equalization
    of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
    2019.) Factors are log-uniform in 1/16..16, drawn from ``seed``.
    """
    rng = np.random.default_rng(seed)
    stages = [layer.name for layer in net.layers if layer.name.endswith("_norm")]
    by_name = {layer.name: [np.array(w) for w in layer.get_weights()] for layer in net.layers}
    for stage, following in pairwise(stages):
        gamma, beta, *_ = by_name[stage]
        factors = np.exp(rng.uniform(-1, 1, gamma.shape) * np.log(_IMBALANCE)).astype(np.float32)
        gamma *= factors
        beta *= factors
        # Depthwise (h, w, channel, 1) and pointwise (1, 1, channel, filter): channels at axis 2.
        kernel = by_name[following.removesuffix("_norm")][0]
        kernel /= factors[:, np.newaxis]
    return [weights for layer in net.layers for weights in by_name[layer.name]]


def as_taken(data: Labelled, seed: int) -> Labelled:
    """The recipe's arrays, unchanged."""
    return data


def at_any_exposure(data: Labelled, seed: int) -> Labelled:
    """Each image eight times, each time as bright as an exposure of its own makes it.

    The exposure is log-uniform in 1/256..1: eight stops, as between a room and the sun. A float
    network learns to read the dark ones; in int8 they have but a few steps of a scale that the
    bright ones set.
    """
    x, y = (np.repeat(array, _EXPOSURES, axis=0) for array in data)
    stops = np.random.default_rng(seed).uniform(-_STOPS, 0, (len(x), 1, 1, 1))
    return (x * 2.0**stops).astype(np.float32), y


def unchanged(net: Any, seed: int) -> Weights:
    """The weights of the trained network."""
    weights: Weights = net.get_weights()
    return weights


@dataclass(frozen=True)
class Net:
    """One row of the benchmark.

    Attributes:
        title: What it is, in a few words.
        architecture: Builds it with a Keras.
        recipe: The file of ``datasets/`` that it learns from.
        origin: Networks with the same origin start from the same float training.
        start: The starting weights of QAT, from the trained float network and a seed.
        dress: What is done to a split of the recipe, with a seed for each.
    """

    title: str
    architecture: Callable[[Any], Any]
    recipe: str
    origin: str
    start: Callable[[Any, int], Weights]
    dress: Callable[[Labelled, int], Labelled]


NETS = {
    "normal": Net("normal", separable, "cluttered_digits.py", "separable", unchanged, as_taken),
    "imbalanced": Net(
        "imbalanced channels", separable, "cluttered_digits.py", "separable", imbalanced, as_taken
    ),
    "exposure": Net(
        "eight stops of exposure", narrow, "digits.py", "narrow", unchanged, at_any_exposure
    ),
}

"""The steps that a form is made of: all of them convert to int8 ops that the Edge TPU has.

A form is written once, as a function of ``Steps``: ``KerasSteps`` makes the layers of it, and
``NumpySteps`` computes it, which is what its error is measured on.

Minimum and maximum aren't among them, although the Edge TPU has both: the converter gives their
inputs the range of their result, and whatever else reads such an input reads it clipped.

The order of operands matters. Calibration runs element-wise operators in place and looks at their
inputs afterwards: the first operand that nothing else reads gets the range of the result as well
(TensorFlow issue 127842). It should be one that has such a range anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Tensor = Any


class Steps(Protocol):
    """Element-wise functions, and a mean; ``last`` marks the step that gives the result.

    ``x`` and what is returned are tensors of one shape, but for the slopes, factors and offsets,
    which may be arrays that broadcast to it.
    """

    def sigmoid(self, x: Tensor) -> Tensor:
        """``1 / (1 + exp(-x))``: LOGISTIC."""

    def relu(self, x: Tensor, last: bool = False) -> Tensor:
        """``max(x, 0)``: RELU, or fused into the step before."""

    def relu6(self, x: Tensor) -> Tensor:
        """``min(max(x, 0), 6)``: RELU6, or fused into the step before."""

    def prelu(self, x: Tensor, slope: float | Array, trainable: bool, last: bool = False) -> Tensor:
        """``x`` where it is positive, ``slope * x`` elsewhere: PRELU.

        The slope is one for all, or one for each channel.
        """

    def affine(
        self,
        x: Tensor,
        scale: float | Array,
        offset: float | Array = 0.0,
        last: bool = False,
    ) -> Tensor:
        """``scale * x + offset``: MUL unless the scale is 1, ADD unless the offset is 0."""

    def add(self, x: Tensor, y: Tensor, last: bool = False) -> Tensor:
        """``x + y``: ADD."""

    def subtract(self, x: Tensor, y: Tensor, last: bool = False) -> Tensor:
        """``x - y``: SUB."""

    def multiply(self, x: Tensor, y: Tensor, last: bool = False) -> Tensor:
        """``x * y``: MUL."""

    def weighted(self, x: Tensor, weights: Array) -> Tensor:
        """``weights * x``, with a constant for each element: MUL."""

    def rsqrt(self, x: Tensor) -> Tensor:
        """``1 / sqrt(x)``: RSQRT."""

    def channel_mean(self, x: Tensor, offset: float = 0.0) -> Tensor:
        """The mean over the last axis plus an offset, in the shape of ``x``.

        A convolution with kernel size 1 and equal weights, which int8 holds exactly.
        """


class NumpySteps:
    """Computes a form in float64."""

    def sigmoid(self, x: Array) -> Array:
        return np.asarray(np.exp(-np.logaddexp(0.0, -x)))

    def relu(self, x: Array, last: bool = False) -> Array:
        return np.maximum(x, 0.0)

    def relu6(self, x: Array) -> Array:
        return np.clip(x, 0.0, 6.0)

    def prelu(self, x: Array, slope: float | Array, trainable: bool, last: bool = False) -> Array:
        return np.where(x > 0, x, slope * x)

    def affine(
        self, x: Array, scale: float | Array, offset: float | Array = 0.0, last: bool = False
    ) -> Array:
        return np.asarray(scale * x + offset)

    def add(self, x: Array, y: Array, last: bool = False) -> Array:
        return np.asarray(x + y)

    def subtract(self, x: Array, y: Array, last: bool = False) -> Array:
        return np.asarray(x - y)

    def multiply(self, x: Array, y: Array, last: bool = False) -> Array:
        return np.asarray(x * y)

    def weighted(self, x: Array, weights: Array) -> Array:
        return np.asarray(weights * x)

    def rsqrt(self, x: Array) -> Array:
        return np.asarray(1.0 / np.sqrt(x))

    def channel_mean(self, x: Array, offset: float = 0.0) -> Array:
        return np.broadcast_to(x.mean(axis=-1, keepdims=True) + offset, x.shape)


class KerasSteps:
    """Makes layers and calls them.

    Args:
        name: Of the last layer; the others' names begin with it.
        unique: Makes a name that no other layer of the model has.
    """

    def __init__(self, name: str, unique: Callable[[str], str]) -> None:
        import keras

        self._keras = keras
        self._name = name
        self._unique = unique

    def sigmoid(self, x: Tensor) -> Tensor:
        return self.layer("Activation", "sigmoid", False, "sigmoid")(x)

    def tanh(self, x: Tensor) -> Tensor:
        return self.layer("Activation", "tanh", False, "tanh")(x)

    def relu(self, x: Tensor, last: bool = False) -> Tensor:
        return self.layer("ReLU", "relu", last)(x)

    def relu6(self, x: Tensor) -> Tensor:
        return self.layer("ReLU", "relu6", False, 6.0)(x)

    def prelu(self, x: Tensor, slope: float | Array, trainable: bool, last: bool = False) -> Tensor:
        layer = self.layer(
            "PReLU",
            "prelu",
            last,
            # Without axes to share the layer takes None, not an empty list.
            shared_axes=list(range(1, len(x.shape) - 1)) or None,
            trainable=trainable,
        )
        result = layer(x)
        layer.set_weights([np.broadcast_to(slope, layer.alpha.shape)])
        return result

    def affine(
        self, x: Tensor, scale: float | Array, offset: float | Array = 0.0, last: bool = False
    ) -> Tensor:
        return self.layer("Rescaling", "affine", last, _plain(scale), _plain(offset))(x)

    def add(self, x: Tensor, y: Tensor, last: bool = False) -> Tensor:
        return self.layer("Add", "add", last)([x, y])

    def subtract(self, x: Tensor, y: Tensor, last: bool = False) -> Tensor:
        return self.layer("Subtract", "subtract", last)([x, y])

    def multiply(self, x: Tensor, y: Tensor, last: bool = False) -> Tensor:
        return self.layer("Multiply", "multiply", last)([x, y])

    def weighted(self, x: Tensor, weights: Array) -> Tensor:
        return self._keras.ops.multiply(x, np.asarray(weights, np.float32))

    def rsqrt(self, x: Tensor) -> Tensor:
        return self._keras.ops.rsqrt(x)

    def channel_mean(self, x: Tensor, offset: float = 0.0) -> Tensor:
        constant = self._keras.initializers.Constant
        channels = x.shape[-1]
        options = {
            "use_bias": offset != 0.0,
            "kernel_initializer": constant(1.0 / channels),
            "bias_initializer": constant(offset),
            "trainable": False,
        }
        if len(x.shape) == 2:
            return self.layer("Dense", "mean", False, channels, **options)(x)
        convolution = {3: "Conv1D", 4: "Conv2D"}[len(x.shape)]
        return self.layer(convolution, "mean", False, channels, 1, **options)(x)

    def layer(self, kind: str, suffix: str, last: bool, *args: Any, **options: Any) -> Any:
        """A new layer.

        Args:
            kind: The name of its class.
            suffix: What its name ends with.
            last: Whether it gives the result: it has the name without a suffix then.
            args: Of its constructor.
            options: The same.
        """
        name = self._name if last else self._unique(f"{self._name}_{suffix}")
        return getattr(self._keras.layers, kind)(*args, name=name, **options)


def _plain(value: float | Array) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value

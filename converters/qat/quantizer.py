"""``Quantizer``: what every quantizer has in common.

``build`` makes a quantizer's variables in the layer that owns them and returns them by name; they
are handed back on every call, so that a quantizer itself holds no state and is serializable. One
activation quantizer may serve several tensors that must keep one scale (``sources``): every source
has its own observed range, and the grid covers them all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.qat.grid import (
    Range,
    WeightGrid,
    fake_quantize,
    fake_quantize_channels,
    nudge,
)

Weights = dict[str, Any]

SMALLEST_RANGE = 1e-6
"""No range is narrower: FakeQuant divides by it."""


class Quantizer(ABC):
    """Rounds a tensor to a grid of ``num_bits`` bits.

    Args:
        num_bits: 2 to 16.
        per_axis: One range for each index of the last axis; for weights.
        symmetric: The range is ``+-max(|min|, |max|)``.
        narrow_range: Leave out the least integer (TFLite's weights are within +-127).
    """

    # Whether the range of a weight has to be kept in variables.
    keeps_weight_range = True

    def __init__(
        self,
        num_bits: int = 8,
        per_axis: bool = False,
        symmetric: bool = False,
        narrow_range: bool = False,
    ) -> None:
        if not 2 <= num_bits <= 16:
            raise TidepoolError(
                f"a quantizer of {num_bits} bits was asked for", hint="use 2 to 16 bits"
            )
        self.num_bits = num_bits
        self.per_axis = per_axis
        self.symmetric = symmetric
        self.narrow_range = narrow_range

    @abstractmethod
    def build(self, tensor_shape: Any, name: str, layer: Any, sources: int = 1) -> Weights:
        """Makes the variables in ``layer`` and returns them by name."""

    @abstractmethod
    def __call__(self, inputs: Any, training: Any, weights: Weights, source: int = 0) -> Any:
        """Rounds ``inputs``; in training it also takes note of their range.

        Args:
            inputs: float32, of any shape.
            training: Whether this is a step of training.
            weights: What ``build`` returned.
            source: Which of the tensors that share the range this is.
        """

    @abstractmethod
    def limits(self, weights: Weights, values: Any = None) -> tuple[Any, Any]:
        """The range in use: minimum and maximum, before nudging."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "num_bits": self.num_bits,
            "per_axis": self.per_axis,
            "symmetric": self.symmetric,
            "narrow_range": self.narrow_range,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Quantizer:
        """The inverse of ``get_config``."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self).__name__, str(self.get_config())))

    def trained_range(self, weights: Weights) -> Range:
        """The nudged activation range that was trained."""
        low, high = (float(np.asarray(value)) for value in self.limits(weights))
        return nudge(low, high, self.num_bits, self.narrow_range)

    def export_range(self, weights: Weights) -> Range:
        """The range that the converter is shown: 16 bits are widened after the conversion."""
        trained = self.trained_range(weights)
        if trained.bits <= 8:
            return trained
        return nudge(trained.minimum, trained.maximum, 8, True)

    def weight_grid(self, values: Any, weights: Weights) -> WeightGrid:
        """The integers and scales of a weight (channels last), as its rounding defines them.

        Raises:
            TidepoolError: The grid isn't symmetric, as TFLite wants it for weights.
        """
        rounded = np.asarray(self(values, False, weights))
        low, high = (np.asarray(limit, np.float32) for limit in self.limits(weights, values))
        if not self.symmetric or not self.narrow_range or self.num_bits > 8:
            raise TidepoolError(
                f"{type(self).__name__} quantizes a weight with a grid that TFLite lacks",
                hint="weights need symmetric=True, narrow_range=True and at most 8 bits",
            )
        scales = (high - low) / np.float32(2**self.num_bits - 2)
        safe = np.where(scales > 0, scales, 1)
        integers = np.rint(rounded / safe).astype(np.int8)
        return WeightGrid(integers, np.atleast_1d(scales), self.num_bits)

    def _round(self, inputs: Any, low: Any, high: Any) -> Any:
        rounding = fake_quantize_channels if self.per_axis else fake_quantize
        return rounding(inputs, low, high, self.num_bits, self.narrow_range)

    def _observed(self, inputs: Any) -> tuple[Any, Any]:
        """The range of a batch, made to hold 0 and symmetric where asked for."""
        import tensorflow as tf

        inputs = tf.stop_gradient(inputs)
        axes = list(range(len(inputs.shape) - 1)) if self.per_axis else None
        if self.symmetric:
            high = tf.reduce_max(tf.abs(inputs), axes)
            return -high, high
        low = tf.minimum(tf.reduce_min(inputs, axes), 0.0)
        return low, tf.maximum(tf.reduce_max(inputs, axes), 0.0)

    def _widened(self, low: Any, high: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        # One side only: a range of [0, 1e-6] keeps real 0 at the grid's end.
        if self.symmetric:
            high = tf.maximum(high, SMALLEST_RANGE)
            return -high, high
        return low, tf.maximum(high, low + SMALLEST_RANGE)

"""The grids that values are rounded to, and the straight-through rounding itself.

A grid is affine: ``real = scale * (integer - zero_point)``, ``least <= integer <= greatest``. The
rounding is TensorFlow's FakeQuant kernel, which TFLite's converter reads back from the graph; its
gradient is the straight-through estimator with clipping (Bengio et al. 2013, arXiv:1308.3432;
Jacob et al. 2018, arXiv:1712.05877): ``dy/dx = 1`` inside of the range, 0 outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.tflite.graph import Array


@dataclass(frozen=True, eq=False)
class WeightGrid:
    """A weight on its grid: ``scales * integers`` along the last axis.

    Attributes:
        integers: int8 values, in the weight's shape with the channels last.
        scales: float32, one, or one for each channel.
        bits: The width of the integers; they are within ``+-(2**(bits - 1) - 1)``.
    """

    integers: Array
    scales: Array
    bits: int

    @property
    def real(self) -> Array:
        """The values that the integers stand for, float32."""
        result: Array = self.integers.astype(np.float32) * self.scales.astype(np.float32)
        return result


@dataclass(frozen=True)
class Range:
    """The nudged range of a per-tensor activation grid.

    Attributes:
        minimum: The real value of the least integer.
        maximum: The real value of the greatest integer.
        bits: The width of the integers.
        narrow: Whether the least integer is left out, so that the grid is symmetric.
    """

    minimum: float
    maximum: float
    bits: int
    narrow: bool

    @property
    def scale(self) -> float:
        return (self.maximum - self.minimum) / int(2**self.bits - 1 - self.narrow)

    @property
    def zero_point(self) -> int:
        """The integer of real 0, for signed integers of ``bits`` bits."""
        return round(-self.minimum / self.scale) - int(2 ** (self.bits - 1)) + self.narrow


def nudge(minimum: float, maximum: float, bits: int, narrow: bool) -> Range:
    """The nearest range that has an integer for real 0, as FakeQuant nudges it.

    The arithmetic is that of ``Nudge`` in TensorFlow's ``fake_quant_ops_functor.h``, in float32.
    """
    low, high = np.float32(minimum), np.float32(maximum)
    least, greatest = np.float32(int(narrow)), np.float32(2**bits - 1)
    scale = (high - low) / (greatest - least)
    zero_point = np.clip(np.floor(least - low / scale + np.float32(0.5)), least, greatest)
    return Range(
        float((least - zero_point) * scale), float((greatest - zero_point) * scale), bits, narrow
    )


def fake_quantize(values: Any, minimum: Any, maximum: Any, bits: int, narrow: bool) -> Any:
    """Rounds values to a per-tensor grid; straight-through gradient.

    Args:
        values: A float32 tensor.
        minimum: Scalar, at most 0.
        maximum: Scalar, at least 0 and greater than ``minimum``.
        bits: 2 to 16.
        narrow: Whether to leave out the least integer.
    """
    import tensorflow as tf

    return tf.quantization.fake_quant_with_min_max_vars(values, minimum, maximum, bits, narrow)


def fake_quantize_channels(values: Any, minimum: Any, maximum: Any, bits: int, narrow: bool) -> Any:
    """The same with one grid for each index of the last axis; the ranges are vectors."""
    import tensorflow as tf

    return tf.quantization.fake_quant_with_min_max_vars_per_channel(
        values, minimum, maximum, bits, narrow
    )


def round_straight_through(values: Any) -> Any:
    """Rounds to the nearest integer with a gradient of 1: ``x + stop_gradient(round(x) - x)``."""
    import tensorflow as tf

    return values + tf.stop_gradient(tf.round(values) - values)

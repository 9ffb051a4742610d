"""Quantizers: each keeps a range and rounds values to the grid over it.

LastValueQuantizer        the range of the last batch (of a weight: of its current value)
AllValuesQuantizer        the range of everything seen
MovingAverageQuantizer    the exponential average of the batches' ranges
LearnedRangeQuantizer     a step size that is trained (LSQ)
FixedRangeQuantizer       a range given by the operation, as for softmax
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.qat.grid import Range, nudge, round_straight_through
from converters.qat.quantizer import SMALLEST_RANGE, Quantizer, Weights
from converters.qat.replicas import widest_range
from converters.qat.runtime import PACKAGE, keras
from converters.tflite.graph import Array

_register = keras.saving.register_keras_serializable(PACKAGE)


class _RangeVariables(Quantizer):
    """A quantizer whose range is observed and kept in two variables."""

    def _initial(self) -> tuple[float, float]:
        return 0.0, 0.0

    def build(self, tensor_shape: Any, name: str, layer: Any, sources: int = 1) -> Weights:
        """Two variables: ``(sources,)`` for activations, ``(channels,)`` for per-axis weights."""
        shape = (tensor_shape[-1],) if self.per_axis else (sources,)
        low, high = self._initial()
        return {
            key: layer.add_weight(
                name=f"{name}_{key}",
                shape=shape,
                initializer=keras.initializers.Constant(value),
                trainable=False,
                dtype="float32",
            )
            for key, value in (("min", low), ("max", high))
        }

    def __call__(self, inputs: Any, training: Any, weights: Weights, source: int = 0) -> Any:
        """See ``Quantizer``."""
        if training and weights:
            self._take_note(inputs, weights, source)
        return self._round(inputs, *self.limits(weights, inputs))

    def _take_note(self, inputs: Any, weights: Weights, source: int) -> None:
        import tensorflow as tf

        observed = widest_range(*self._observed(inputs))
        for key, seen in zip(("min", "max"), observed, strict=True):
            variable = weights[key]
            if self.per_axis:
                variable.assign(self._updated(key, variable.value, seen))
            elif variable.shape[0] == 1:
                variable.assign(self._updated(key, variable.value, tf.reshape(seen, (1,))))
            else:
                chosen = tf.range(variable.shape[0]) == source
                updated = self._updated(key, variable.value, seen)
                variable.assign(tf.where(chosen, updated, variable.value))

    @abstractmethod
    def _updated(self, key: str, old: Any, seen: Any) -> Any:
        """The new value of a variable."""

    def limits(self, weights: Weights, values: Any = None) -> tuple[Any, Any]:
        """The range over all sources, never empty."""
        import tensorflow as tf

        low, high = weights["min"].value, weights["max"].value
        if not self.per_axis:
            low, high = tf.reduce_min(low), tf.reduce_max(high)
        return self._widened(low, high)


@_register
class LastValueQuantizer(_RangeVariables):
    """The range of the last batch.

    Of a weight it is the range of its current value, ``+-max|w|`` for each channel: nothing is
    stored, and nothing is out of date after the last step of the optimizer.
    """

    keeps_weight_range = False

    def _updated(self, key: str, old: Any, seen: Any) -> Any:
        return seen + 0 * old

    def limits(self, weights: Weights, values: Any = None) -> tuple[Any, Any]:
        """The stored range, or without variables that of ``values``."""
        if weights:
            return super().limits(weights)
        import tensorflow as tf

        return self._widened(*self._observed(tf.convert_to_tensor(values)))


@_register
class AllValuesQuantizer(_RangeVariables):
    """The range of everything seen in training: right for inputs, sensitive to outliers inside."""

    def _updated(self, key: str, old: Any, seen: Any) -> Any:
        import tensorflow as tf

        return tf.minimum(old, seen) if key == "min" else tf.maximum(old, seen)


@_register
class MovingAverageQuantizer(_RangeVariables):
    """The exponential moving average of the batches' ranges (Jacob et al. 2018, section 3.1).

    ``range = decay * range + (1 - decay) * range of the batch``, from a bounded initial range. A
    slow average from +-6 did best on ill-conditioned nets: outliers are clipped early on and the
    weights adapt to it, instead of the range growing around them.

    Args:
        num_bits: As for ``Quantizer``.
        per_axis: As for ``Quantizer``.
        symmetric: As for ``Quantizer``.
        narrow_range: As for ``Quantizer``.
        decay: Weight of the past, 0 to 1.
        initial_min: Initial minimum, at most 0.
        initial_max: Initial maximum.
        delay: Steps of training before anything is rounded; ranges are observed from the first.
    """

    def __init__(
        self,
        num_bits: int = 8,
        per_axis: bool = False,
        symmetric: bool = False,
        narrow_range: bool = False,
        decay: float = 0.999,
        initial_min: float = -6.0,
        initial_max: float = 6.0,
        delay: int = 0,
    ) -> None:
        super().__init__(num_bits, per_axis, symmetric, narrow_range)
        if not 0 <= decay < 1:
            raise TidepoolError(f"the decay {decay} isn't within [0, 1)")
        if not initial_min <= 0 < initial_max:
            raise TidepoolError(f"the range [{initial_min}, {initial_max}] doesn't hold 0")
        self.decay = decay
        self.initial_min = initial_min
        self.initial_max = initial_max
        self.delay = delay

    def _initial(self) -> tuple[float, float]:
        bound = max(-self.initial_min, self.initial_max)
        return (-bound, bound) if self.symmetric else (self.initial_min, self.initial_max)

    def build(self, tensor_shape: Any, name: str, layer: Any, sources: int = 1) -> Weights:
        """The range, and a counter of steps if there is a delay."""
        weights = super().build(tensor_shape, name, layer, sources)
        if self.delay:
            weights["steps"] = layer.add_weight(
                name=f"{name}_steps",
                shape=(),
                initializer="zeros",
                trainable=False,
                dtype="int32",
            )
        return weights

    def __call__(self, inputs: Any, training: Any, weights: Weights, source: int = 0) -> Any:
        """See ``Quantizer``."""
        rounded = super().__call__(inputs, training, weights, source)
        if not self.delay:
            return rounded
        import tensorflow as tf

        steps = weights["steps"]
        if training and source == 0:
            steps.assign(tf.minimum(steps.value + 1, self.delay + 1))
        return tf.where(steps.value > self.delay, rounded, inputs)

    def _updated(self, key: str, old: Any, seen: Any) -> Any:
        return old + (1.0 - self.decay) * (seen - old)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "decay": self.decay,
            "initial_min": self.initial_min,
            "initial_max": self.initial_max,
            "delay": self.delay,
        }


@_register
class LearnedRangeQuantizer(Quantizer):
    """A trained step size: LSQ (Esser et al. 2020, arXiv:1902.08153), symmetric or from 0 up.

    ``y = s * round(clip(x / s, -Q_n, Q_p))`` with a straight-through rounding, so that
    ``dy/ds = round(x/s) - x/s`` inside and ``-Q_n`` or ``Q_p`` outside, scaled by
    ``1 / sqrt(elements * Q_p)`` (their equation 3 and section 2.2). Clipped values train the range
    as in PACT (Choi et al. 2018, arXiv:1805.06085). A weight's step starts at ``2 mean|w| /
    sqrt(Q_p)`` at the first build; an activation's range starts at ``initial_max``.

    Args:
        num_bits: As for ``Quantizer``.
        per_axis: As for ``Quantizer``.
        symmetric: ``[-r, r]``; otherwise ``[initial_min / initial_max * r, r]``.
        narrow_range: As for ``Quantizer``.
        initial_min: Initial minimum; its ratio to the maximum is kept.
        initial_max: Initial maximum.
    """

    def __init__(
        self,
        num_bits: int = 8,
        per_axis: bool = False,
        symmetric: bool = False,
        narrow_range: bool = False,
        initial_min: float = -6.0,
        initial_max: float = 6.0,
    ) -> None:
        super().__init__(num_bits, per_axis, symmetric, narrow_range)
        if not initial_min <= 0 < initial_max:
            raise TidepoolError(f"the range [{initial_min}, {initial_max}] doesn't hold 0")
        self.initial_min = -initial_max if symmetric else initial_min
        self.initial_max = initial_max

    @property
    def _steps(self) -> int:
        return int(2**self.num_bits - 1 - self.narrow_range)

    def build(self, tensor_shape: Any, name: str, layer: Any, sources: int = 1) -> Weights:
        """The trained maximum: one, or one for each channel; and how many values share it.

        LSQ counts the weights, or the features of one sample: a batch's size is None here.
        """
        shape = (tensor_shape[-1],) if self.per_axis else ()
        initial = keras.initializers.Constant(self.initial_max)
        sizes = tensor_shape[:-1] if self.per_axis else tensor_shape
        return {
            "elements": math.prod(size for size in sizes if size is not None),
            "max": layer.add_weight(
                name=f"{name}_range", shape=shape, initializer=initial, dtype="float32"
            ),
        }

    def start_at(self, values: Array, weights: Weights) -> None:
        """Sets the range of a weight by LSQ's rule; ``values`` with the channels last."""
        greatest = 2 ** (self.num_bits - 1) - 1
        axes = tuple(range(values.ndim - 1)) if self.per_axis else None
        step = 2 * np.abs(values).mean(axes) / np.sqrt(greatest)
        # Never beyond the greatest weight: at 8 bits the rule would waste most of the grid.
        limit = np.abs(values).max(axes)
        weights["max"].assign(np.maximum(np.minimum(step * greatest, limit), SMALLEST_RANGE))

    def __call__(self, inputs: Any, training: Any, weights: Weights, source: int = 0) -> Any:
        """See ``Quantizer``."""
        import tensorflow as tf

        low, high = self.limits(weights)
        if training:
            factor = (weights["elements"] * self._steps / 2) ** -0.5
            high = high * factor + tf.stop_gradient(high * (1 - factor))
        step = high * (1.0 - self._ratio) / self._steps
        zero = tf.round(-low / step) if not self.symmetric else self._steps / 2
        least, greatest = -tf.stop_gradient(zero), self._steps - tf.stop_gradient(zero)
        clipped = tf.clip_by_value(inputs / step, least, greatest)
        return round_straight_through(clipped) * step

    @property
    def _ratio(self) -> float:
        return -1.0 if self.symmetric else self.initial_min / self.initial_max

    def limits(self, weights: Weights, values: Any = None) -> tuple[Any, Any]:
        """The trained range; training can't turn it around."""
        import tensorflow as tf

        high = tf.maximum(weights["max"].value, SMALLEST_RANGE)
        return high * self._ratio, high

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "initial_min": self.initial_min,
            "initial_max": self.initial_max,
        }


@_register
class FixedRangeQuantizer(Quantizer):
    """A range that the operation gives: softmax ``[0, 255/256]``, tanh ``[-1, 127/128]``.

    TFLite's specification fixes their output scales ("TensorFlow Lite 8-bit quantization
    specification", LOGISTIC, SOFTMAX, TANH). With 16 bits it is 1/32768 for all of them, and any
    other range is symmetric.

    Args:
        num_bits: 8 or 16.
        minimum: The range's lower end with 8 bits, at most 0.
        maximum: Its upper end.
    """

    def __init__(
        self,
        num_bits: int = 8,
        minimum: float = 0.0,
        maximum: float = 255 / 256,
    ) -> None:
        wide = num_bits > 8
        super().__init__(num_bits, False, symmetric=wide, narrow_range=wide)
        self.minimum = minimum
        self.maximum = maximum

    def build(self, tensor_shape: Any, name: str, layer: Any, sources: int = 1) -> Weights:
        """No variables."""
        return {}

    def __call__(self, inputs: Any, training: Any, weights: Weights, source: int = 0) -> Any:
        """See ``Quantizer``."""
        return self._round(inputs, *self.limits(weights))

    def limits(self, weights: Weights, values: Any = None) -> tuple[Any, Any]:
        """The range."""
        if not self.symmetric:
            return self.minimum, self.maximum
        bound = 32767 / 32768 if self._is_tflites else max(-self.minimum, self.maximum)
        return -bound, bound

    @property
    def _is_tflites(self) -> bool:
        return (self.minimum, self.maximum) in ((0.0, 255 / 256), (-1.0, 127 / 128))

    def export_range(self, weights: Weights) -> Range:
        """Of an operation with a given scale always the 8-bit one: the converter insists on it."""
        if self._is_tflites:
            return nudge(self.minimum, self.maximum, 8, False)
        return super().export_range(weights)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "num_bits": self.num_bits,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }

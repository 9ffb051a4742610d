"""``QuantizeWrapper``: a layer that computes with rounded weights, and its batch normalization.

With weights ``w``, batch normalization ``gamma, beta`` and statistics ``mu, sigma``:

Per-channel weights. Training: ``BN(conv(x, Q(w)))``, unfolded, with the statistics of the batch.
Inference and export: ``conv(x, Q(w) * gamma / sigma) + beta - mu * gamma / sigma``. This is exact:
a channel's factor scales the grid's step, not its integers (a negative one changes their sign, and
the grid is symmetric). So the integers that are trained are the integers in the file.

Per-tensor weights. The factors differ by channel, so the grid is that of the folded kernel, and
the double convolution of Krishnamoorthi 2018 (arXiv:1806.08342, section 3.2.2) trains it:
``conv(x, Q(w * gamma / sigma_r)) * sigma_r / sigma_b + beta - gamma * mu_b / sigma_b``, where
``mu_b, sigma_b`` are the statistics of ``conv(x, w)`` over the batch and ``sigma_r`` is the moving
one: the grid doesn't jitter with the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.qat.config import QuantizeConfig
from converters.qat.grid import WeightGrid
from converters.qat.kernel_layout import KernelLayout, layout_of
from converters.qat.quantizer import Quantizer, Weights
from converters.qat.quantizers import LearnedRangeQuantizer
from converters.qat.runtime import PACKAGE, Phase, current_phase, keras
from converters.tflite.graph import Array

_register = keras.saving.register_keras_serializable(PACKAGE)


@_register
class QuantizeWrapper(keras.Layer):  # type: ignore[misc]
    """Calls a layer with its weights rounded, then its batch normalization.

    Args:
        layer: The layer; its activation is linear, unless the config quantizes it.
        quantize_config: Says which weights are rounded, and how.
        batch_normalization: What follows the layer and is folded into it, or None.
    """

    built: bool

    def __init__(
        self,
        layer: Any,
        quantize_config: QuantizeConfig,
        batch_normalization: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**({"name": f"quantize_{layer.name}"} | kwargs))
        self.layer = layer
        self.quantize_config = quantize_config
        self.batch_normalization = batch_normalization
        self._slots: list[tuple[Any, Quantizer, Weights, KernelLayout | None]] = []
        self._activations: list[tuple[Callable[[Any], Any], Quantizer, Weights]] = []

    def build(self, input_shape: Any) -> None:
        """Builds the layers and the quantizers' variables."""
        if self.built:
            return
        if not self.layer.built:
            self.layer.build(input_shape)
        if self.batch_normalization is not None and not self.batch_normalization.built:
            self.batch_normalization.build(self.layer.compute_output_shape(input_shape))
        layout = layout_of(self.layer)
        pairs = self.quantize_config.get_weights_and_quantizers(self.layer)
        for index, (variable, quantizer) in enumerate(pairs):
            own = layout if layout and variable is self.layer.kernel else None
            values = own.channels_last(variable.value) if own else variable.value
            weights: Weights = {}
            if quantizer.keeps_weight_range:
                weights = quantizer.build(tuple(values.shape), f"weight_{index}", self)
            self._slots.append((variable, quantizer, weights, own))
        activations = self.quantize_config.get_activations_and_quantizers(self.layer)
        for index, (function, quantizer) in enumerate(activations):
            weights = quantizer.build(input_shape, f"activation_{index}", self)
            self._activations.append((function, quantizer, weights))
        self.built = True

    def start_ranges(self) -> None:
        """Sets what the quantizers learn from the weights that the layer has now."""
        for variable, quantizer, weights, layout in self._slots:
            if isinstance(quantizer, LearnedRangeQuantizer):
                values = layout.channels_last(variable.value) if layout else variable.value
                quantizer.start_at(np.asarray(values), weights)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes the layer and its batch normalization."""
        now = current_phase()
        if now is Phase.EXPORT:
            return self._exported(inputs)
        normalize = self.batch_normalization
        if normalize is None:
            return self._call_layer(inputs, self._rounded(training), training)
        statistics = now is Phase.REESTIMATE or training
        if self.folds_exactly:
            outputs = self._call_layer(inputs, self._rounded(training), training)
            return normalize(outputs, training=bool(statistics))
        return self._double_convolution(inputs, training, bool(statistics))

    @property
    def folds_exactly(self) -> bool:
        """Whether the grid has a scale for every channel, so that the fold only scales it."""
        return bool(self._slots) and self._slots[0][1].per_axis

    def _rounded(self, training: bool | None, factor: Any = None) -> list[Any]:
        """The rounded weights; ``factor`` scales the kernel's channels beforehand."""
        rounded = []
        for variable, quantizer, weights, layout in self._slots:
            values = variable.value
            if layout is None:
                rounded.append(quantizer(values, training, weights))
                continue
            flat = layout.channels_last(values)
            flat = flat if factor is None else flat * factor
            result = quantizer(flat, training, weights)
            rounded.append(layout.restored(result, tuple(values.shape)))
        return rounded

    def _call_layer(self, inputs: Any, rounded: list[Any], training: bool | None) -> Any:
        original = [function for function, _, _ in self._activations]
        updates = list(self.layer.non_trainable_variables)
        with keras.StatelessScope() as scope:
            self.quantize_config.set_quantize_weights(self.layer, rounded)
            if original:
                functions = [self._quantized(*slot, training) for slot in self._activations]
                self.quantize_config.set_quantize_activations(self.layer, functions)
            try:
                kwargs = {"training": training} if self.layer._call_has_training_arg else {}
                outputs = self.layer(inputs, **kwargs)
            finally:
                if original:
                    self.quantize_config.set_quantize_activations(self.layer, original)
        for variable in updates:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)
        return outputs

    @staticmethod
    def _quantized(
        function: Callable[[Any], Any], quantizer: Quantizer, weights: Weights, training: Any
    ) -> Callable[[Any], Any]:
        return lambda values: quantizer(function(values), training, weights)

    def _double_convolution(self, inputs: Any, training: Any, statistics: bool) -> Any:
        import tensorflow as tf

        normalize = self.batch_normalization
        gamma, beta = _gamma_beta(normalize)
        statistics = statistics and normalize.trainable
        moving = tf.sqrt(normalize.moving_variance.value + normalize.epsilon)
        rounded = self._rounded(training, gamma / moving)
        bias = self.layer.bias.value if self.layer.use_bias else None
        outputs = self._call_layer(inputs, rounded, training)
        # The kernel is folded, so the bias that the layer adds would be too small by gamma/sigma.
        outputs = outputs if bias is None else outputs - bias
        if not statistics:
            mean = normalize.moving_mean.value
            offset = 0.0 if bias is None else bias
            return outputs + beta + (offset - mean) * gamma / moving
        plain = self.layer(inputs)
        axes = list(range(len(plain.shape) - 1))
        mean, variance = keras.ops.moments(plain, axes, synchronized=normalize.synchronized)
        for variable, seen in (
            (normalize.moving_mean, mean),
            (normalize.moving_variance, variance),
        ):
            kept = normalize.momentum
            variable.assign(variable.value * kept + tf.stop_gradient(seen) * (1 - kept))
        sigma = tf.sqrt(variance + normalize.epsilon)
        offset = 0.0 if bias is None else bias
        return outputs * (moving / sigma) + beta + (offset - mean) * gamma / sigma

    def baked(self) -> tuple[WeightGrid, Array] | None:
        """The kernel's grid (channels last) and the bias, with the batch normalization folded in.

        Returns:
            None for a layer whose kernel this library doesn't know.
        """
        if not self._slots or self._slots[0][3] is None:
            return None
        variable, quantizer, weights, layout = self._slots[0]
        assert layout is not None  # checked above
        kernel = np.asarray(layout.channels_last(variable.value))
        bias = np.zeros(kernel.shape[-1], np.float32)
        if self.layer.use_bias:
            bias = np.asarray(self.layer.bias.value)
        if self.batch_normalization is None:
            return quantizer.weight_grid(kernel, weights), bias
        gamma, offset = folded_batch_norm(self.batch_normalization)
        bias = bias * gamma + offset
        if not self.folds_exactly:
            return quantizer.weight_grid(kernel * gamma, weights), bias
        grid = quantizer.weight_grid(kernel, weights)
        sign = np.sign(gamma).astype(np.int8)
        return WeightGrid(grid.integers * sign, grid.scales * np.abs(gamma), grid.bits), bias

    @property
    def layout(self) -> KernelLayout | None:
        return layout_of(self.layer)

    def _exported(self, inputs: Any) -> Any:
        """The layer with constants: the folded kernel on its grid, and the folded bias."""
        import tensorflow as tf

        with tf.init_scope():
            baked = self.baked()
            others = [np.asarray(value) for value in self._rounded(False)]
        if baked is None:
            outputs = self._call_layer(inputs, [tf.constant(v) for v in others], False)
            if self.batch_normalization is not None:
                outputs = self.batch_normalization(outputs, training=False)
            return outputs
        grid, bias = baked
        variable, _, _, layout = self._slots[0]
        assert layout is not None  # baked() knows the kernel
        with tf.init_scope():
            kernel = np.asarray(layout.restored(tf.constant(grid.real), tuple(variable.shape)))
        mapping = [(variable, tf.constant(kernel))]
        if self.layer.use_bias:
            mapping.append((self.layer.bias, tf.constant(bias)))
        with keras.StatelessScope(state_mapping=mapping):
            outputs = self.layer(inputs)
        if not self.layer.use_bias and np.any(bias):
            outputs = outputs + tf.constant(bias)
        return outputs

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        normalize = self.batch_normalization
        own = {
            "layer": serialize(self.layer),
            "quantize_config": serialize(self.quantize_config),
            "batch_normalization": None if normalize is None else serialize(normalize),
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizeWrapper:
        """The inverse of ``get_config``."""
        restore = keras.saving.deserialize_keras_object
        config = dict(config)
        normalize = config.pop("batch_normalization")
        return cls(
            restore(config.pop("layer")),
            restore(config.pop("quantize_config")),
            None if normalize is None else restore(normalize),
            **config,
        )


def _gamma_beta(normalize: Any) -> tuple[Any, Any]:
    gamma = normalize.gamma.value if normalize.scale else 1.0
    return gamma, normalize.beta.value if normalize.center else 0.0


def folded_batch_norm(normalize: Any) -> tuple[Array, Array]:
    """Batch normalization at inference as ``factor * x + offset``, float32 for each channel.

    ``factor = gamma / sqrt(variance + epsilon)``, ``offset = beta - mean * factor`` (Ioffe and
    Szegedy 2015, arXiv:1502.03167, algorithm 2).

    Raises:
        TidepoolError: The layer holds NaN or infinity.
    """
    gamma, beta = (np.asarray(value, np.float64) for value in _gamma_beta(normalize))
    variance = np.asarray(normalize.moving_variance.value, np.float64)
    mean = np.asarray(normalize.moving_mean.value, np.float64)
    factor = gamma / np.sqrt(variance + normalize.epsilon)
    offset = beta - mean * factor
    if not (np.isfinite(factor).all() and np.isfinite(offset).all()):
        raise TidepoolError(
            f"layer '{normalize.name}' holds NaN or infinity",
            hint="the training diverged: lower the learning rate",
        )
    return factor.astype(np.float32), offset.astype(np.float32)

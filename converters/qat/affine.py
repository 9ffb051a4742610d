"""``QuantizeAffine``: a factor and an offset for every channel, exact in int8.

A batch normalization that no kernel can take in, a ``Rescaling`` or a ``Normalization`` is
``factor * x + offset`` at inference. In the file it is a depthwise convolution of 1 x 1: with a
scale for each channel the factor is ``+-127`` steps of ``|factor| / 127``, so it has no rounding
error at all, and the offset is a 32-bit bias. As MUL and ADD it would be rounded to 8 bits twice.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.qat.grid import WeightGrid
from converters.qat.runtime import PACKAGE, Phase, current_phase, keras
from converters.qat.wrapper import folded_batch_norm
from converters.tflite.graph import Array

_register = keras.saving.register_keras_serializable(PACKAGE)


@_register
class QuantizeAffine(keras.Layer):  # type: ignore[misc]
    """Calls a ``BatchNormalization``, ``Rescaling`` or ``Normalization`` over the last axis.

    Args:
        layer: The layer.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**({"name": f"quantize_{layer.name}"} | kwargs))
        self.layer = layer
        self._channels = 0

    def build(self, input_shape: Any) -> None:
        """Builds the layer."""
        if not self.layer.built:
            self.layer.build(input_shape)
        self._channels = input_shape[-1]
        if isinstance(self.layer, keras.layers.Rescaling):
            self._factor_offset()  # refuses what can't be converted before any training
        self.built = True

    @property
    def batch_normalization(self) -> Any:
        """The layer, if it is a batch normalization."""
        return self.layer if isinstance(self.layer, keras.layers.BatchNormalization) else None

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes the layer."""
        now = current_phase()
        if now is Phase.EXPORT:
            return self._exported(inputs)
        if self.batch_normalization is None:
            return self.layer(inputs)
        return self.layer(inputs, training=bool(now is Phase.REESTIMATE or training))

    def baked(self) -> tuple[WeightGrid, Array]:
        """The factors on their grid, ``(1, channels)``, and the offsets.

        Raises:
            TidepoolError: The layer wasn't adapted, or holds NaN or infinity.
        """
        factor, offset = self._factor_offset()
        if not (np.isfinite(factor).all() and np.isfinite(offset).all()):
            raise TidepoolError(
                f"layer '{self.layer.name}' holds NaN or infinity",
                hint="adapt it to the data before quantization",
            )
        integers = (np.sign(factor) * 127).astype(np.int8).reshape(1, -1)
        return WeightGrid(integers, np.abs(factor) / np.float32(127), 8), offset

    def _factor_offset(self) -> tuple[Array, Array]:
        if self.batch_normalization is not None:
            return folded_batch_norm(self.layer)
        if isinstance(self.layer, keras.layers.Rescaling):
            factor, offset = self.layer.scale, self.layer.offset
        else:
            spread = np.maximum(np.sqrt(np.asarray(self.layer.variance)), keras.config.epsilon())
            factor, offset = 1 / spread, -np.asarray(self.layer.mean) / spread
            if self.layer.invert:
                factor, offset = spread, np.asarray(self.layer.mean)
        return self._per_channel(factor), self._per_channel(offset)

    def _per_channel(self, values: Any) -> Array:
        array = np.asarray(values, np.float32)
        if array.size not in (1, self._channels) or array.shape[-1:] not in ((), (array.size,)):
            raise TidepoolError(
                f"layer '{self.layer.name}' has constants of shape {list(array.shape)}; in int8 "
                f"there is one for all, or one for each of the {self._channels} channels",
                hint="scale and shift the data before they reach the model",
            )
        return np.broadcast_to(array.reshape(-1), (self._channels,)).copy()

    def _exported(self, inputs: Any) -> Any:
        import tensorflow as tf

        with tf.init_scope():
            grid, offset = self.baked()
        shape = tuple(inputs.shape)
        image = inputs
        if len(shape) != 4:
            image = tf.reshape(inputs, (1, 1, math.prod(shape[1:-1]), shape[-1]))
        kernel = tf.constant(grid.real.reshape(1, 1, -1, 1))
        outputs = tf.nn.depthwise_conv2d(image, kernel, (1, 1, 1, 1), "VALID")
        outputs = outputs + tf.constant(offset)
        return outputs if len(shape) == 4 else tf.reshape(outputs, shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape stays."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizeAffine:
        """The inverse of ``get_config``."""
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("layer")), **config)

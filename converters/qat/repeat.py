"""``QuantizeRepeat``: nearest upsampling and repetition as one TFLite operation.

Keras repeats by tiling; TFLite's TILE isn't in every runtime's int8 kernels, and takes three
operations. RESIZE_NEAREST_NEIGHBOR with a whole factor copies the same values.
"""

from __future__ import annotations

from typing import Any

from converters.qat.runtime import PACKAGE, Phase, current_phase, keras

_register = keras.saving.register_keras_serializable(PACKAGE)


@_register
class QuantizeRepeat(keras.Layer):  # type: ignore[misc]
    """Calls an ``UpSampling1D``, a nearest ``UpSampling2D`` or a ``RepeatVector``.

    Args:
        layer: The layer.
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**({"name": f"quantize_{layer.name}"} | kwargs))
        self.layer = layer

    def build(self, input_shape: Any) -> None:
        """Nothing to build."""
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Repeats ``inputs``."""
        if current_phase() is not Phase.EXPORT:
            return self.layer(inputs)
        import tensorflow as tf

        shape = tuple(self.layer.compute_output_shape(tuple(inputs.shape)))
        image = inputs
        size = shape[1:3]
        if len(inputs.shape) != 4:
            # One column: the steps of a sequence are its rows.
            rows = 1 if len(inputs.shape) == 2 else inputs.shape[1]
            image = tf.reshape(inputs, (1, rows, 1, inputs.shape[-1]))
            size = (shape[1], 1)
        resized = tf.raw_ops.ResizeNearestNeighbor(images=image, size=size)
        return resized if len(shape) == 4 else tf.reshape(resized, shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The layer's output shape."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizeRepeat:
        """The inverse of ``get_config``."""
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("layer")), **config)

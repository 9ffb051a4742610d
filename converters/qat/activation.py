"""``QuantizeActivation``: rounds a tensor, or several that must keep one scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.qat.grid import Range
from converters.qat.quantizer import Quantizer
from converters.qat.quantizers import AllValuesQuantizer, LastValueQuantizer
from converters.qat.runtime import PACKAGE, Phase, current_phase, keras

_register = keras.saving.register_keras_serializable(PACKAGE)


@_register
class QuantizeActivation(keras.Layer):  # type: ignore[misc]
    """Rounds activations to the grid of its quantizer.

    The same layer is called once for every tensor of a group that must keep one scale, with the
    tensor's number in ``source``.

    Args:
        quantizer: The quantizer.
        sources: How many tensors share it.
    """

    built: bool

    def __init__(self, quantizer: Quantizer, sources: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quantizer = quantizer
        self.sources = sources
        self.supports_masking = True
        self._range_weights: dict[str, Any] = {}

    def build(self, input_shape: Any) -> None:
        """Makes the range's variables."""
        # One layer may be called on several tensors.
        if not self.built:
            self._range_weights = self.quantizer.build(input_shape, "range", self, self.sources)
        self.built = True

    def call(self, inputs: Any, source: int = 0, training: bool | None = None) -> Any:
        """Rounds ``inputs``, float32 of any shape."""
        if current_phase() is Phase.EXPORT:
            import tensorflow as tf

            self.trained_range()
            with tf.init_scope():
                shown = self.quantizer.export_range(self._range_weights)
            return tf.quantization.fake_quant_with_min_max_args(
                inputs, shown.minimum, shown.maximum, shown.bits, shown.narrow
            )
        return self.quantizer(inputs, training, self._range_weights, source)

    def trained_range(self) -> Range:
        """The range that was trained.

        Raises:
            TidepoolError: The range was never observed.
        """
        import tensorflow as tf

        with tf.init_scope():
            observes = isinstance(self.quantizer, AllValuesQuantizer | LastValueQuantizer)
            if (
                observes
                and not np.any(np.asarray(self._range_weights["max"].value))
                and not np.any(np.asarray(self._range_weights["min"].value))
            ):
                raise TidepoolError(
                    f"layer '{self.name}' has seen no data: its range is empty",
                    hint="train the quantized model for at least one step before converting it",
                )
            return self.quantizer.trained_range(self._range_weights)

    def compute_output_shape(self, input_shape: Any, *args: Any, **kwargs: Any) -> Any:
        """The shape stays."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        quantizer = keras.saving.serialize_keras_object(self.quantizer)
        return {**super().get_config(), "quantizer": quantizer, "sources": self.sources}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizeActivation:
        """The inverse of ``get_config``."""
        config = dict(config)
        quantizer = keras.saving.deserialize_keras_object(config.pop("quantizer"))
        return cls(quantizer, **config)

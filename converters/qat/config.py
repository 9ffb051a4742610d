"""What of a layer is quantized, and how: ``QuantizeConfig`` and the ones that are built in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from converters.errors import TidepoolError
from converters.qat.quantizer import Quantizer
from converters.qat.runtime import PACKAGE, keras
from converters.qat.schemes import Scheme, get_scheme

_register = keras.saving.register_keras_serializable(PACKAGE)


class QuantizeConfig(ABC):
    """Says which weights and activations of a layer are quantized, and by which quantizers.

    Subclass it for a layer of your own, or to treat one layer differently; register the subclass
    with ``keras.saving.register_keras_serializable`` (or ``quantize_scope``) so that the model can
    be saved.
    """

    @abstractmethod
    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Quantizer]]:
        """Pairs of a ``keras.Variable`` of the layer and its quantizer."""

    def get_activations_and_quantizers(
        self, layer: Any
    ) -> list[tuple[Callable[[Any], Any], Quantizer]]:
        """Pairs of an activation function inside of the layer and its quantizer; none by default.

        Activations of Keras's own layers are taken out of them and quantized as operations.
        """
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: Sequence[Any]) -> None:
        """Makes the layer compute with the rounded weights; called within its forward pass.

        By default the variables themselves stand for the rounded values until the layer returns
        (``keras.StatelessScope``), so that no attribute of the layer is touched.
        """
        scope = keras.src.backend.common.stateless_scope.get_stateless_scope()
        pairs = self.get_weights_and_quantizers(layer)
        for (variable, _), value in zip(pairs, quantize_weights, strict=True):
            scope.add_update((variable, value))

    def set_quantize_activations(
        self, layer: Any, quantize_activations: Sequence[Callable[[Any], Any]]
    ) -> None:
        """Makes the layer use the activations given, each rounded by its quantizer.

        Raises:
            TidepoolError: The config lists several, and doesn't say where they belong.
        """
        if len(quantize_activations) > 1:
            raise TidepoolError(
                f"{type(self).__name__} lists {len(quantize_activations)} activations "
                f"of layer '{layer.name}'",
                hint="override set_quantize_activations to set them",
            )
        for function in quantize_activations:
            layer.activation = function

    @abstractmethod
    def get_output_quantizers(self, layer: Any) -> list[Quantizer]:
        """The quantizer of the layer's output, in a list; empty to leave the output as it is."""

    @abstractmethod
    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizeConfig:
        """The inverse of ``get_config``."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self).__name__, str(self.get_config())))


@_register
class SchemeQuantizeConfig(QuantizeConfig):
    """A layer of Keras's own under a scheme; what ``quantize_model`` gives every layer.

    Mixed precision by layer is one of these with another scheme on an annotated layer::

        quantize_annotate_layer(layers.Dense(10), SchemeQuantizeConfig("int4"))

    Args:
        scheme: A scheme or its name.
    """

    def __init__(self, scheme: str | Scheme | dict[str, Any] = "int8") -> None:
        self.scheme = Scheme(**scheme) if isinstance(scheme, dict) else get_scheme(scheme)

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Quantizer]]:
        """The layer's kernel."""
        return [(layer.kernel, self.scheme.weights(type(layer).__name__))]

    def get_output_quantizers(self, layer: Any) -> list[Quantizer]:
        """One, by the scheme."""
        return [self.scheme.activations()]

    def get_config(self) -> dict[str, Any]:
        """The scheme as a dictionary."""
        return {"scheme": asdict(self.scheme)}


@_register
class KernelQuantizeConfig(QuantizeConfig):
    """A layer with a kernel, quantized by the quantizers given::

        weights = LearnedRangeQuantizer(4, per_axis=True, symmetric=True, narrow_range=True)
        quantize_annotate_layer(layers.Conv2D(8, 3), KernelQuantizeConfig(weights))

    Args:
        weights: The kernel's quantizer.
        outputs: The output's quantizer; None for that of the scheme ``int8``.
    """

    def __init__(self, weights: Quantizer, outputs: Quantizer | None = None) -> None:
        self.weights = weights
        self.outputs = outputs

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Quantizer]]:
        """The layer's kernel."""
        return [(layer.kernel, self.weights)]

    def get_output_quantizers(self, layer: Any) -> list[Quantizer]:
        """The quantizer given, or the default."""
        return [self.outputs or get_scheme("int8").activations()]

    def get_config(self) -> dict[str, Any]:
        """Both quantizers, serialized."""
        serialize = keras.saving.serialize_keras_object
        return {
            "weights": serialize(self.weights),
            "outputs": None if self.outputs is None else serialize(self.outputs),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> KernelQuantizeConfig:
        """The inverse of ``get_config``."""
        restore = keras.saving.deserialize_keras_object
        outputs = config["outputs"]
        return cls(restore(config["weights"]), None if outputs is None else restore(outputs))

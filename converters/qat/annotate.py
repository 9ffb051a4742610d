"""The front door: which layers are quantized, and the model that trains them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from converters.errors import TidepoolError
from converters.qat.activation import QuantizeActivation
from converters.qat.config import QuantizeConfig, SchemeQuantizeConfig
from converters.qat.network import Network, build_model, read_network
from converters.qat.rebuild import quantize_network
from converters.qat.runtime import PACKAGE, keras
from converters.qat.schemes import Scheme
from converters.qat.wrapper import QuantizeWrapper

_register = keras.saving.register_keras_serializable(PACKAGE)


@_register
class QuantizeAnnotate(keras.Layer):  # type: ignore[misc]
    """Marks a layer as to be quantized; computes what the layer computes.

    Args:
        layer: The layer.
        quantize_config: How; None leaves it to ``quantize_apply``.
    """

    def __init__(
        self, layer: Any, quantize_config: QuantizeConfig | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**({"name": f"annotated_{layer.name}"} | kwargs))
        self.layer = layer
        self.quantize_config = quantize_config or _Default()

    def build(self, input_shape: Any) -> None:
        """Builds the layer."""
        if not self.layer.built:
            self.layer.build(input_shape)
        self.built = True

    def call(self, inputs: Any, **kwargs: Any) -> Any:
        """Calls the layer."""
        return self.layer(inputs, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        config = None
        if not isinstance(self.quantize_config, _Default):
            config = serialize(self.quantize_config)
        own = {"layer": serialize(self.layer), "quantize_config": config}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> QuantizeAnnotate:
        """The inverse of ``get_config``."""
        restore = keras.saving.deserialize_keras_object
        config = dict(config)
        layer = restore(config.pop("layer"))
        own = config.pop("quantize_config")
        return cls(layer, None if own is None else restore(own), **config)


class _Default(SchemeQuantizeConfig):
    """Stands for the scheme that ``quantize_apply`` is called with."""


def quantize_annotate_layer(layer: Any, quantize_config: QuantizeConfig | None = None) -> Any:
    """Marks a layer as to be quantized by ``quantize_apply``.

    Args:
        layer: A Keras layer (not a model).
        quantize_config: How; None takes the scheme that ``quantize_apply`` is called with.

    Returns:
        A layer to put in place of ``layer``.

    Raises:
        TidepoolError: It isn't a layer.
    """
    if isinstance(layer, keras.Model) or not isinstance(layer, keras.Layer):
        raise TidepoolError(
            f"{type(layer).__name__} isn't a layer that can be annotated",
            hint="annotate a whole model with quantize_annotate_model",
        )
    return QuantizeAnnotate(layer, quantize_config)


def quantize_annotate_model(model: Any) -> Any:
    """A copy of a functional or sequential model with every layer marked.

    Layers that are marked already keep their config. Operations of ``keras.ops`` need no mark:
    ``quantize_apply`` takes them with the layers around them.
    """
    network = read_network(model)
    return build_model(network, _Annotator())


class _Annotator:
    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def start(self, tensors: Any) -> None:
        """Inputs stay as they are."""

    def __call__(self, node: Any, args: Any, kwargs: Any) -> Any:
        operation = node.operation
        if id(operation) not in self._made:
            marked = isinstance(operation, QuantizeAnnotate) or not isinstance(
                operation, keras.Layer
            )
            self._made[id(operation)] = operation if marked else QuantizeAnnotate(operation)
        return self._made[id(operation)](*args, **kwargs)


def quantize_apply(model: Any, scheme: str | Scheme = "int8") -> Any:
    """Quantizes the annotated layers of a model.

    An operation of ``keras.ops`` is quantized if everything that it reads is. The model given
    isn't changed; the new one starts with its weights.

    Args:
        model: A functional or sequential model with annotated layers, nested models included.
        scheme: For layers without a config of their own.

    Returns:
        A functional model, not compiled.

    Raises:
        TidepoolError: Nothing is annotated, or an annotated layer can't be quantized; the message
            names it.
    """
    network = read_network(model, QuantizeAnnotate)
    default = SchemeQuantizeConfig(scheme)
    for node in network.nodes:
        if isinstance(node.config, _Default):
            node.config = default
    _take_in_operations(network, default)
    if not any(node.config for node in network.nodes):
        raise TidepoolError(
            f"no layer of model '{model.name}' is annotated",
            hint="use quantize_model, or quantize_annotate_layer on the layers to quantize",
        )
    return quantize_network(network)


def _take_in_operations(network: Network, default: QuantizeConfig) -> None:
    quantized = {value for node in network.nodes if node.config for value in node.outputs}
    for node in network.nodes:
        if not isinstance(node.operation, keras.Layer) and quantized.issuperset(node.inputs):
            node.config = default
            quantized.update(node.outputs)


def quantize_model(model: Any, scheme: str | Scheme = "int8") -> Any:
    """Quantizes all layers of a model.

    Args:
        model: A functional or sequential model; nested models are flattened.
        scheme: ``int8``, ``edge_tpu``, ``int8_int16``, ``int4``, or a ``Scheme``.

    Returns:
        A functional model, not compiled, with the weights of ``model``; train it, then convert it
        with ``convert_quantized``.

    Raises:
        TidepoolError: A layer can't be quantized; the message names it and says what to do.
    """
    if not isinstance(model, keras.Model):
        raise TidepoolError(f"{type(model).__name__} isn't a Keras model")
    network = read_network(model, QuantizeAnnotate)
    wrapped = (QuantizeWrapper, QuantizeActivation)
    default = SchemeQuantizeConfig(scheme)
    for node in network.nodes:
        if isinstance(node.operation, wrapped):
            raise TidepoolError(
                f"model '{model.name}' is quantized already (layer '{node.name}')",
                hint="train it, or convert it",
            )
        if node.config is None or isinstance(node.config, _Default):
            node.config = default
    return quantize_network(network)


def quantize_scope(*custom_objects: dict[str, Any]) -> AbstractContextManager[Any]:
    """A scope in which models with the objects given can be loaded.

    The classes of this library are registered with Keras and need none; it is for configs,
    quantizers and layers of your own that aren't registered.

    Args:
        custom_objects: Dictionaries from names to classes.
    """
    merged = {name: value for objects in custom_objects for name, value in objects.items()}
    scope: AbstractContextManager[Any] = keras.saving.custom_object_scope(merged)
    return scope

"""Builds the quantized Keras model of a network."""

from __future__ import annotations

from typing import Any

from converters.errors import TidepoolError
from converters.qat.activation import QuantizeActivation
from converters.qat.affine import QuantizeAffine
from converters.qat.network import Network, Node, Value, build_model
from converters.qat.ranges import Group, Rounding, plan_ranges
from converters.qat.repeat import QuantizeRepeat
from converters.qat.rewrites import REWRITES, check_supported
from converters.qat.roles import Kind, role_of
from converters.qat.runtime import keras
from converters.qat.wrapper import QuantizeWrapper

_REPEATS = ("UpSampling1D", "UpSampling2D", "RepeatVector")


def quantize_network(network: Network) -> Any:
    """Applies the rewrites, plans the ranges and builds the model, with the original's weights.

    Raises:
        TidepoolError: An annotated operation can't be quantized.
    """
    names = {value: value.name for value in network.output_values}
    for rewrite in REWRITES:
        rewrite(network)
    for node in network.nodes:
        for value in node.outputs:
            # A rewrite may have given a value to another node; ranges are named after it.
            value.name = node.name
    check_supported(network)
    maker = _Maker(plan_ranges(network), names)
    model = build_model(network, maker)
    maker.copy_weights()
    return model


class _Maker:
    """Makes the new layers, one for each layer of the original, and calls them.

    Args:
        roundings: What is rounded, and how.
        names: Of the model's outputs. What computes them keeps these names, so that losses and
            metrics by the name of an output find it.
    """

    def __init__(self, roundings: dict[Value, list[Rounding]], names: dict[Value, str]) -> None:
        self._roundings = roundings
        self._names = names
        self._layers: dict[int, Any] = {}
        self._ranges: dict[Group, QuantizeActivation] = {}
        self._copies: list[tuple[Any, Any]] = []
        self._originals: list[Any] = []

    def start(self, tensors: dict[Value, Any]) -> None:
        """Rounds the inputs."""
        for value in list(tensors):
            tensors[value] = self._round(value, tensors[value])

    def __call__(self, node: Node, args: Any, kwargs: Any) -> Any:
        """Calls the new layer of a node and rounds what it returns."""
        if id(node.operation) not in self._layers:
            self._layers[id(node.operation)] = self._make(node)
            self._originals.append(node.operation)
        result = self._layers[id(node.operation)](*args, **kwargs)
        flat = keras.tree.flatten(result)
        rounded = [
            self._round(value, tensor) for value, tensor in zip(node.outputs, flat, strict=True)
        ]
        return keras.tree.pack_sequence_as(result, rounded)

    def _round(self, value: Value, tensor: Any) -> Any:
        for number, rounding in enumerate(self._roundings.get(value, ())):
            if number:
                # From one grid to another takes an operation; this one changes nothing else.
                same = keras.layers.Rescaling(1.0, name=f"{value.name}_requantize")
                tensor = QuantizeAffine(same)(tensor)
            group = rounding.group
            if group not in self._ranges:
                last = rounding is self._roundings[value][-1]
                name = self._names.get(value) if last else None
                self._ranges[group] = QuantizeActivation(
                    group.quantizer(), len(group.sources), name=name or f"{group.name}_range"
                )
            tensor = self._ranges[group](tensor, source=rounding.source)
        return tensor

    def _make(self, node: Node) -> Any:
        role = role_of(node)
        config = node.operation.get_config()
        wrapped = role is None or role.kind in (Kind.KERNEL, Kind.AFFINE)
        rounded_output = node.output in self._names and node.output in self._roundings
        # Its name goes to what rounds it; a wrapper has one of its own.
        config["name"] = f"{node.name}_unrounded" if rounded_output and not wrapped else node.name
        if node.linear:
            config["activation"] = "linear"
        if role is not None and role.kind is Kind.FIXED and node.kind == "ReLU":
            # The range ends at the maximum: clipping is what the rounding does.
            config["max_value"] = None
        copy = type(node.operation).from_config(config)
        self._copies.append((node.operation, copy))
        if node.config is None:
            return copy
        if role is None or role.kind is Kind.KERNEL:
            normalize = None
            if node.batch_normalization is not None:
                normalize = _clone(node.batch_normalization)
                self._copies.append((node.batch_normalization, normalize))
            return QuantizeWrapper(copy, node.config, normalize)
        if role.kind is Kind.AFFINE:
            return QuantizeAffine(copy)
        nearest = getattr(copy, "interpolation", "nearest") == "nearest"
        if node.kind in _REPEATS and nearest:
            return QuantizeRepeat(copy)
        return copy

    def copy_weights(self) -> None:
        """Gives the new layers the weights of the original ones."""
        for original, copy in self._copies:
            if not getattr(original, "weights", None):
                continue
            try:
                copy.set_weights(original.get_weights())
            except ValueError as error:
                raise TidepoolError(
                    f"layer '{original.name}' can't be copied with its weights: {error}",
                    hint="its get_config() must describe all of it",
                ) from error
            copy.trainable = original.trainable
        for layer in self._layers.values():
            if isinstance(layer, QuantizeWrapper):
                layer.start_ranges()


def _clone(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())

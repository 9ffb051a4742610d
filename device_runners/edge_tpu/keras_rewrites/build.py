"""Builds the model of a network in which calls are replaced by forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.errors import TidepoolError
from device_runners.edge_tpu.keras_rewrites.functions import is_keras, is_keras_function
from device_runners.edge_tpu.keras_rewrites.rewrite import Form
from device_runners.edge_tpu.keras_rewrites.steps import KerasSteps


def build_rewritten(network: Any, forms: Mapping[Any, Form]) -> Any:
    """Builds the model, with the weights of the layers that it is made from.

    Args:
        network: A ``converters.qat.network.Network``.
        forms: For each of its nodes that is replaced, by what.
    """
    from converters.qat.network import build_model

    maker = _Maker(network, forms)
    model = build_model(network, maker)
    maker.copy_weights()
    return model


def _holds_own_code(operation: Any) -> bool:
    """Whether it is or uses code of the user's: a configuration need not give that back.

    Keras writes a function by its name and, reading it, prefers its own of that name.
    """
    parts = [operation, *vars(operation).values()]
    return type(operation).__name__ == "Lambda" or any(
        callable(part) and not (is_keras(part) or is_keras_function(part)) for part in parts
    )


class _Maker:
    def __init__(self, network: Any, forms: Mapping[Any, Form]) -> None:
        self._forms = forms
        self._names = {value.name for value in network.input_values}
        self._names |= {node.name for node in network.nodes}
        self._layers: dict[int, Any] = {}
        self._copies: list[tuple[Any, Any]] = []

    def start(self, tensors: Any) -> None:
        """Inputs stay as they are."""

    def __call__(self, node: Any, args: Any, kwargs: Any) -> Any:
        """Calls the new layer of a node, or the layers of its form."""
        if node in self._forms:
            return self._forms[node].build(KerasSteps(node.name, self._unique), args[0])
        key = id(node.operation)
        if key not in self._layers:
            self._layers[key] = self._copy(node)
        return self._layers[key](*args, **kwargs)

    def _copy(self, node: Any) -> Any:
        operation = node.operation
        if not node.linear and _holds_own_code(operation):
            return operation
        config = operation.get_config()
        config["name"] = node.name
        if node.linear:
            config["activation"] = "linear"
        try:
            copy = type(operation).from_config(config)
        except (TypeError, ValueError) as error:
            reason = str(error).split("Exception encountered: ")[-1].splitlines()[0][:200]
            raise TidepoolError(
                f"layer '{operation.name}' can't be copied: {reason}",
                hint="register what it uses of your own: @keras.saving.register_keras_serializable",
            ) from error
        self._copies.append((operation, copy))
        return copy

    def copy_weights(self) -> None:
        """Gives the copies the weights of the original layers."""
        for original, copy in self._copies:
            if getattr(original, "weights", None):
                copy.set_weights(original.get_weights())
                copy.trainable = original.trainable

    def _unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._names:
            candidate, number = f"{name}_{number}", number + 1
        self._names.add(candidate)
        return candidate

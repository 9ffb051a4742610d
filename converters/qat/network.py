"""A functional Keras model as a list of calls: read flat, changed by rewrites, built anew."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from converters.errors import TidepoolError
from converters.qat.config import QuantizeConfig
from converters.qat.runtime import keras


@dataclass(eq=False)
class Value:
    """A tensor between calls.

    Attributes:
        shape: Its shape, batch included (None).
        name: The name of the call that computes it, or of the input.
    """

    shape: tuple[int | None, ...]
    name: str


@dataclass(eq=False)
class Node:
    """One call of a layer or operation.

    Attributes:
        name: Unique in the network.
        operation: The layer or ``keras.Operation`` of the original model; several nodes of one
            layer share it.
        args: The call's arguments, with ``Value`` in place of tensors.
        kwargs: The same for keyword arguments.
        result: What the call returns, with ``Value`` in place of tensors.
        config: How it is quantized; None where it stays as it is.
        linear: Whether the layer's activation was taken out of it.
        batch_normalization: The layer that is folded into this one, or None.
    """

    name: str
    operation: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    config: QuantizeConfig | None = None
    linear: bool = False
    batch_normalization: Any = None

    @property
    def inputs(self) -> list[Value]:
        return _values((self.args, self.kwargs))

    @property
    def outputs(self) -> list[Value]:
        return _values(self.result)

    @property
    def output(self) -> Value:
        """The only output."""
        return self.outputs[0]

    @property
    def kind(self) -> str:
        """The name of the operation's class."""
        return type(self.operation).__name__


@dataclass(eq=False)
class Network:
    """A flat model.

    Attributes:
        name: The model's name.
        inputs: The structure of its inputs, with ``Value`` in place of tensors.
        outputs: The structure of its outputs.
        nodes: The calls, in an order that they can be made in.
        input_dtypes: For each input its dtype.
    """

    name: str
    inputs: Any
    outputs: Any
    nodes: list[Node]
    input_dtypes: dict[Value, str] = field(default_factory=dict)

    @property
    def input_values(self) -> list[Value]:
        return _values(self.inputs)

    @property
    def output_values(self) -> list[Value]:
        return _values(self.outputs)

    def consumers(self) -> dict[Value, list[Node]]:
        """For every value the nodes that read it."""
        found: dict[Value, list[Node]] = {value: [] for value in self.input_values}
        for node in self.nodes:
            for value in node.outputs:
                found.setdefault(value, [])
            for value in node.inputs:
                found.setdefault(value, []).append(node)
        return found

    def calls(self, operation: Any) -> list[Node]:
        """All calls of a layer."""
        return [node for node in self.nodes if node.operation is operation]


def _values(structure: Any) -> list[Value]:
    return [leaf for leaf in keras.tree.flatten(structure) if isinstance(leaf, Value)]


def substituted(structure: Any, mapping: dict[Value, Any]) -> Any:
    """The structure with every mapped ``Value`` replaced."""
    return keras.tree.map_structure(
        lambda leaf: mapping.get(leaf, leaf) if isinstance(leaf, Value) else leaf, structure
    )


def read_network(model: Any, annotation: Any = None) -> Network:
    """Reads a functional or sequential model, nested models included.

    Args:
        model: A built ``keras.Model``.
        annotation: The class of the layers that mark another one as to be quantized; they hold it
            in ``layer`` and its config in ``quantize_config``.

    Raises:
        TidepoolError: The model, or one inside, is subclassed or has no input shape.
    """
    functional = _functional(model)
    reader = _Reader(annotation)
    dtypes = {}
    mapping: dict[int, Value] = {}
    for tensor in functional.inputs:
        name = reader.unique(tensor._keras_history.operation.name)
        value = Value(tuple(tensor.shape), name)
        mapping[id(tensor)] = value
        dtypes[value] = str(tensor.dtype)
    structure = keras.tree.map_structure(lambda t: mapping[id(t)], functional._inputs_struct)
    outputs = reader.read(functional, mapping, "")
    return Network(model.name, structure, outputs, reader.nodes, dtypes)


def _functional(model: Any) -> Any:
    if isinstance(model, keras.Sequential):
        if not model.built or model._functional is None:
            raise TidepoolError(
                f"the Sequential model '{model.name}' has no input shape",
                hint="start it with keras.Input(shape=(...))",
            )
        return model._functional
    if not isinstance(model, keras.Model) or not hasattr(model, "_nodes_by_depth"):
        raise TidepoolError(
            f"'{getattr(model, 'name', model)}' is a subclassed model ({type(model).__name__}): "
            "its layers can't be seen",
            hint="build it with the functional API or keras.Sequential",
        )
    return model


class _Reader:
    def __init__(self, annotation: Any) -> None:
        self.nodes: list[Node] = []
        self._names: set[str] = set()
        self._annotation = annotation

    def unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._names:
            candidate, number = f"{name}_{number}", number + 1
        self._names.add(candidate)
        return candidate

    def read(self, model: Any, mapping: dict[int, Value], prefix: str) -> Any:
        """Appends the model's calls; returns the structure of its outputs."""

        def substitute(leaf: Any) -> Any:
            return mapping.get(id(leaf), leaf)

        for depth in sorted(model._nodes_by_depth, reverse=True):
            for call in model._nodes_by_depth[depth]:
                if call.is_input:
                    continue
                args, kwargs = keras.tree.map_structure(
                    substitute, (call.arguments.args, call.arguments.kwargs)
                )
                result = self._call(call.operation, args, kwargs, call.outputs, prefix)
                flat = keras.tree.flatten(result)
                for tensor, value in zip(call.output_tensors, flat, strict=True):
                    mapping[id(tensor)] = value
        return keras.tree.map_structure(substitute, model._outputs_struct)

    def _call(self, operation: Any, args: Any, kwargs: Any, outputs: Any, prefix: str) -> Any:
        config = None
        if self._annotation is not None and isinstance(operation, self._annotation):
            config, operation = operation.quantize_config, operation.layer
        if isinstance(operation, keras.Model):
            inner = _functional(operation)
            mapping = dict(
                zip(
                    (id(tensor) for tensor in inner.inputs),
                    keras.tree.flatten(args[0] if args else next(iter(kwargs.values()))),
                    strict=True,
                )
            )
            return self.read(inner, mapping, f"{prefix}{operation.name}_")
        clash = operation.name in self._names
        name = self.unique(f"{prefix}{operation.name}" if clash and prefix else operation.name)
        result = keras.tree.map_structure(lambda tensor: Value(tuple(tensor.shape), name), outputs)
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        self.nodes.append(Node(name, operation, args, kwargs, result, config))
        return result


def build_model(network: Network, make: Any) -> Any:
    """Builds the Keras model of a network.

    Args:
        network: The network.
        make: Called with a node and its substituted arguments and keyword arguments; returns what
            the call returns.
    """
    tensors: dict[Value, Any] = {
        value: keras.Input(
            batch_shape=value.shape, name=value.name, dtype=network.input_dtypes[value]
        )
        for value in network.input_values
    }
    inputs = dict(tensors)
    make.start(tensors)
    for node in network.nodes:
        args, kwargs = (substituted(part, tensors) for part in (node.args, node.kwargs))
        result = make(node, args, kwargs)
        for value, tensor in zip(node.outputs, keras.tree.flatten(result), strict=True):
            tensors[value] = tensor
    return keras.Model(
        substituted(network.inputs, inputs),
        substituted(network.outputs, tensors),
        name=network.name,
    )


def replaced(node: Node, **changes: Any) -> Node:
    """A copy of a node with other attributes."""
    return replace(node, **changes)

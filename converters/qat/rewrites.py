"""Rewrites that bring a network into the operations that are quantized; none changes a result.

split_separable      a separable convolution is a depthwise and a pointwise one
take_out_activations an activation inside of a layer becomes an operation of its own
canonical_activations every way to write an activation becomes one
merge_equal_relus    several ReLUs of one tensor become one
binary_merges        Add and Multiply of several tensors become a chain; Average is scaled
fold_batch_norms     a batch normalization goes into the kernel before it
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converters.errors import TidepoolError
from converters.qat.network import Network, Node, Value, replaced, substituted
from converters.qat.roles import Kind, role_of
from converters.qat.runtime import keras

Rewrite = Callable[[Network], None]


def split_separable(network: Network) -> None:
    """Splits separable convolutions; calls of one layer share both parts."""
    parts: dict[int, tuple[Any, Any]] = {}

    def split(node: Node) -> list[Node]:
        if node.config is None or node.kind not in ("SeparableConv1D", "SeparableConv2D"):
            return [node]
        layer = node.operation
        if id(layer) not in parts:
            parts[id(layer)] = _separable_parts(layer, node.inputs[0].shape)
        depthwise, pointwise = parts[id(layer)]
        shape = (*node.output.shape[:-1], node.inputs[0].shape[-1] * layer.depth_multiplier)
        between = Value(shape, f"{node.name}_depthwise")
        return [
            replaced(node, name=between.name, operation=depthwise, result=between),
            replaced(node, operation=pointwise, args=(between,), kwargs={}),
        ]

    _replace_each(network, split)


def _separable_parts(layer: Any, shape: tuple[int | None, ...]) -> tuple[Any, Any]:
    one_dimensional = type(layer).__name__ == "SeparableConv1D"
    layers = keras.layers
    depthwise_class = layers.DepthwiseConv1D if one_dimensional else layers.DepthwiseConv2D
    pointwise_class = layers.Conv1D if one_dimensional else layers.Conv2D
    depthwise = depthwise_class(
        layer.kernel_size[0] if one_dimensional else layer.kernel_size,
        strides=layer.strides[0] if one_dimensional else layer.strides,
        padding=layer.padding,
        depth_multiplier=layer.depth_multiplier,
        dilation_rate=layer.dilation_rate[0] if one_dimensional else layer.dilation_rate,
        data_format=layer.data_format,
        use_bias=False,
        depthwise_regularizer=layer.depthwise_regularizer,
        depthwise_constraint=layer.depthwise_constraint,
        name=f"{layer.name}_depthwise",
    )
    pointwise = pointwise_class(
        layer.filters,
        1,
        data_format=layer.data_format,
        use_bias=layer.use_bias,
        activation=layer.activation,
        kernel_regularizer=layer.pointwise_regularizer,
        kernel_constraint=layer.pointwise_constraint,
        bias_regularizer=layer.bias_regularizer,
        bias_constraint=layer.bias_constraint,
        name=layer.name,
    )
    depthwise.build(shape)
    depthwise.set_weights([layer.depthwise_kernel])
    pointwise.build((*shape[:-1], layer.depthwise_kernel.shape[-2] * layer.depth_multiplier))
    pointwise.set_weights([layer.pointwise_kernel, *([layer.bias] if layer.use_bias else [])])
    return depthwise, pointwise


def take_out_activations(network: Network) -> None:
    """Gives the activation of a convolution or Dense a node of its own."""

    def take_out(node: Node) -> list[Node]:
        role = role_of(node)
        if node.config is None or role is None or role.kind is not Kind.KERNEL or node.linear:
            return [node]
        function = node.operation.activation
        if node.config.get_activations_and_quantizers(node.operation):
            return [node]
        if function is None or _function_name(function) == "linear":
            return [replaced(node, linear=True)]
        before = Value(node.output.shape, node.name)
        name = f"{node.name}_{_function_name(function)}"
        activation = keras.layers.Activation(function, name=name)
        return [
            replaced(node, linear=True, result=before),
            Node(name, activation, (before,), {}, node.result, node.config),
        ]

    _replace_each(network, take_out)


def _function_name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def canonical_activations(network: Network) -> None:
    """One operation for each activation, however it was written.

    Raises:
        TidepoolError: An activation that TFLite hasn't in int8.
    """

    def canonical(node: Node) -> list[Node]:
        if node.config is None:
            return [node]
        layers = keras.layers
        operation = node.operation
        kind = node.kind
        if kind == "Activation":
            kind = _function_name(operation.activation)
            if kind == "linear":
                return [replaced(node, operation=layers.Identity(name=operation.name))]
        make = _ACTIVATIONS.get(kind)
        if make is None:
            return [node]
        return make(node)

    _replace_each(network, canonical)


def _relu(node: Node) -> list[Node]:
    layer = node.operation
    slope = float(getattr(layer, "negative_slope", 0.0) or 0.0)
    maximum = getattr(layer, "max_value", None)
    if float(getattr(layer, "threshold", 0.0) or 0.0) != 0.0 or (slope and maximum is not None):
        raise TidepoolError(
            f"layer '{node.name}' is a ReLU with a threshold, or with a slope and a maximum: "
            "TFLite has none in int8",
            hint="use ReLU(max_value=...) or LeakyReLU",
        )
    if slope:
        return _one(node, keras.layers.LeakyReLU(slope, name=node.name))
    maximum = None if maximum is None else float(maximum)
    return _one(node, keras.layers.ReLU(maximum, name=node.name))


def _leaky_relu(node: Node) -> list[Node]:
    slope = float(getattr(node.operation, "negative_slope", 0.2))
    return _one(node, keras.layers.LeakyReLU(slope, name=node.name))


def _softmax(node: Node) -> list[Node]:
    axis = getattr(node.operation, "axis", -1)
    rank = len(node.output.shape)
    if axis not in (-1, rank - 1) or len(node.inputs) != 1:
        raise TidepoolError(
            f"layer '{node.name}' is a softmax over axis {axis} or with a mask",
            hint="TFLite has a softmax over the last axis only: permute the axes before it",
        )
    return _one(node, keras.layers.Activation("softmax", name=node.name))


def _named(function: str) -> Callable[[Node], list[Node]]:
    return lambda node: _one(node, keras.layers.Activation(function, name=node.name))


def _silu(node: Node) -> list[Node]:
    gate = Value(node.output.shape, f"{node.name}_sigmoid")
    sigmoid = keras.layers.Activation("sigmoid", name=gate.name)
    product = keras.layers.Multiply(name=node.name)
    return [
        Node(gate.name, sigmoid, (node.inputs[0],), {}, gate, node.config),
        Node(node.name, product, ([node.inputs[0], gate],), {}, node.result, node.config),
    ]


def _hard_sigmoid(node: Node) -> list[Node]:
    """``relu6(x + 3) / 6``; both factors are exact as affine operations."""
    layers = keras.layers
    names = [f"{node.name}_shift", f"{node.name}_relu6"]
    shifted, clipped = (Value(node.output.shape, name) for name in names)
    rescale = layers.Rescaling(1.0, 3.0, name=names[0])
    scale = layers.Rescaling(1.0 / 6.0, name=node.name)
    return [
        Node(names[0], rescale, (node.inputs[0],), {}, shifted, node.config),
        Node(names[1], layers.ReLU(6.0, name=names[1]), (shifted,), {}, clipped, node.config),
        Node(node.name, scale, (clipped,), {}, node.result, node.config),
    ]


def _one(node: Node, layer: Any) -> list[Node]:
    return [Node(node.name, layer, (node.inputs[0],), {}, node.result, node.config)]


_ACTIVATIONS: dict[str, Callable[[Node], list[Node]]] = {
    **dict.fromkeys(("relu", "Relu", "ReLU"), _relu),
    **dict.fromkeys(
        ("relu6", "Relu6"), lambda node: _one(node, keras.layers.ReLU(6.0, name=node.name))
    ),
    **dict.fromkeys(("leaky_relu", "LeakyRelu", "LeakyReLU"), _leaky_relu),
    **dict.fromkeys(("softmax", "Softmax"), _softmax),
    **dict.fromkeys(("sigmoid", "Sigmoid"), _named("sigmoid")),
    **dict.fromkeys(("tanh", "Tanh"), _named("tanh")),
    **dict.fromkeys(("silu", "Silu", "swish"), _silu),
    **dict.fromkeys(("hard_sigmoid", "HardSigmoid"), _hard_sigmoid),
    **dict.fromkeys(("hard_silu", "HardSilu", "hard_swish"), _named("hard_silu")),
    **dict.fromkeys(("gelu", "Gelu"), _named("gelu")),
}


def merge_equal_relus(network: Network) -> None:
    """Makes one of several ReLUs of the same tensor: one range, which can be fused."""
    found: dict[tuple[Value, Any], Value] = {}
    merged: dict[Value, Value] = {}
    kept = []
    outputs = set(network.output_values)
    for node in network.nodes:
        node.args = substituted(node.args, merged)
        node.kwargs = substituted(node.kwargs, merged)
        if node.config is not None and node.kind == "ReLU" and node.output not in outputs:
            key = (node.inputs[0], node.operation.max_value)
            if key in found:
                merged[node.output] = found[key]
                continue
            found[key] = node.output
        kept.append(node)
    network.nodes = kept


def binary_merges(network: Network) -> None:
    """Makes chains of Add and Multiply with several inputs, and a scaled sum of Average."""

    def chain(node: Node) -> list[Node]:
        values = node.inputs
        average = node.kind == "Average"
        if node.config is None or node.kind not in ("Add", "Multiply", "Average"):
            return [node]
        if len(values) <= 2 and not average:
            return [node]
        merge = keras.layers.Multiply if node.kind == "Multiply" else keras.layers.Add
        nodes = []
        left = values[0]
        for number, right in enumerate(values[1:], start=1):
            last = number == len(values) - 1 and not average
            name = node.name if last else f"{node.name}_{number}"
            result = node.output if last else Value(node.output.shape, name)
            nodes.append(Node(name, merge(name=name), ([left, right],), {}, result, node.config))
            left = result
        if average:
            scale = keras.layers.Rescaling(1.0 / len(values), name=node.name)
            nodes.append(Node(node.name, scale, (left,), {}, node.result, node.config))
        return nodes

    _replace_each(network, chain)


def fold_batch_norms(network: Network) -> None:
    """Puts a batch normalization into the node of the kernel before it, where that is possible.

    It is where nothing else reads the kernel's output and both are called as often: once, or
    always one after the other. What stays is quantized as an affine operation.
    """
    consumers = network.consumers()
    outputs = set(network.output_values)
    pairs: dict[Node, Node] = {}
    for node in network.nodes:
        role = role_of(node)
        if node.config is None or role is None or role.kind is not Kind.KERNEL:
            continue
        readers = consumers[node.output]
        follower = readers[0] if len(readers) == 1 else None
        if follower is None or follower.kind != "BatchNormalization" or follower.config is None:
            continue
        if node.linear and node.output not in outputs:
            pairs[node] = follower
    taken: set[Node] = set()
    for node, follower in list(pairs.items()):
        calls = network.calls(node.operation)
        followers = [pairs.get(call) for call in calls]
        same = all(other and other.operation is follower.operation for other in followers)
        if not same or len(network.calls(follower.operation)) != len(calls):
            del pairs[node]
    for node, follower in pairs.items():
        node.batch_normalization = follower.operation
        node.result = follower.result
        taken.add(follower)
    network.nodes = [node for node in network.nodes if node not in taken]


def _replace_each(network: Network, function: Callable[[Node], list[Node]]) -> None:
    network.nodes = [new for node in network.nodes for new in function(node)]


REWRITES: tuple[Rewrite, ...] = (
    split_separable,
    take_out_activations,
    canonical_activations,
    merge_equal_relus,
    binary_merges,
    fold_batch_norms,
)
"""In the order in which they are applied."""


def check_supported(network: Network) -> None:
    """Refuses annotated operations that can't be quantized.

    Raises:
        TidepoolError: It names the first one and what to do.
    """
    for value, dtype in network.input_dtypes.items():
        if dtype != "float32":
            raise TidepoolError(
                f"input '{value.name}' of the model is {dtype}, but training needs float32",
                hint="use keras.Input(..., dtype='float32'): the file has int8 inputs all the same",
            )
    for node in network.nodes:
        if node.config is None:
            continue
        role = role_of(node)
        custom = type(node.config).__module__.split(".")[0] != "converters"
        if role is None and not custom:
            raise TidepoolError(
                f"layer '{node.name}' ({node.kind}) can't be quantized{_reason(node)}",
                hint="annotate the layers around it with quantize_annotate_layer, or give it a "
                "QuantizeConfig of its own",
            )
        operation: Any = node.operation
        if getattr(operation, "data_format", None) == "channels_first":
            raise TidepoolError(
                f"layer '{node.name}' has its channels first; TFLite has them last",
                hint="build the model with data_format='channels_last'",
            )
        axis = getattr(operation, "axis", -1) if node.kind == "BatchNormalization" else -1
        if axis not in (-1, len(node.output.shape) - 1):
            raise TidepoolError(
                f"batch normalization '{node.name}' runs over axis {axis}",
                hint="normalize over the last axis: the channels of int8 are there",
            )


_REASONS = {
    **dict.fromkeys(("elu", "ELU", "Elu"), ": TFLite's converter keeps ELU in float"),
    **dict.fromkeys(
        ("LSTM", "GRU", "SimpleRNN", "Bidirectional", "RNN", "ConvLSTM2D"),
        ": what a recurrent layer computes at each step is hidden from the quantizers",
    ),
    **dict.fromkeys(
        ("LayerNormalization", "GroupNormalization", "UnitNormalization", "RMSNormalization"),
        ": it divides by statistics of its input, and TFLite has no int8 operation for that",
    ),
    **dict.fromkeys(("MultiHeadAttention", "Attention"), ": it multiplies activations inside"),
    "Embedding": ": its input are indices, not quantized values",
}


def _reason(node: Node) -> str:
    kind = node.kind
    if kind == "Activation":
        kind = _function_name(node.operation.activation)
    return _REASONS.get(kind, "")

"""Channels that hold one value everywhere are not computed.

A channel goes if everything that reads it can do without: a convolution or dense layer drops its
weights for it and adds what it contributed to the bias, a depthwise convolution, a pool and a
reshape drop the channel on both sides. Graph outputs keep all of theirs. What is left stays a
multiple of four, if it was one, so that pixels stay aligned to words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from converters.tflite.graph import Array, Graph, Operator, Quantization, Tensor, TensorType
from device_runners.cgen.constant_channels import (
    Bools,
    Channels,
    absorbable,
    constant_channels,
    convolution_groups,
    repeats_of_reshape,
)
from device_runners.cgen.operation import OpContext
from device_runners.cgen.program import Program, RemovedChannels, Saving

_GRANULE = 4
_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_INT32 = np.iinfo(np.int32)


def match(program: Program, operator: Operator) -> bool:
    """An operator whose output has channels to remove."""
    if program.removed:
        return False  # all of them went together
    return any(output in _removable(program.graph) for output in operator.outputs)


def transform(program: Program, _: Operator) -> Program:
    """Removes all such channels of the graph at once: they depend on each other."""
    graph = program.graph
    removable, channels = _removable(graph), constant_channels(graph)
    rewriter = _Rewriter(graph, removable, channels)
    for operator in graph.operators:
        rewriter.rewrite(operator)
    removed = {
        tensor: RemovedChannels(
            shape=graph.tensor(tensor).shape,
            kept=np.nonzero(~gone)[0],
            values=np.where(gone, channels[tensor].values, 0).astype(np.int8),
        )
        for tensor, gone in removable.items()
    }
    count = sum(
        int(removable[op.outputs[0]].sum())
        for op in graph.operators
        if op.opcode == "CONV_2D" and op.outputs[0] in removable
    )
    saving = Saving(
        "dead_channels",
        f"left out {count} filters whose output never changes, and what reads them",
        rewriter.operators,
    )
    return replace(
        program, graph=rewriter.graph(), removed=removed, savings=(*program.savings, saving)
    )


# ---- What can go ----------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _removable(graph: Graph) -> dict[int, Bools]:
    """Tensor -> (channels,) which of them go; only tensors that lose any."""
    channels = constant_channels(graph)
    gone = {
        tensor: known.known.copy() if _may_shrink(graph, tensor) else known.known & False
        for tensor, known in channels.items()
    }
    changed = True
    while changed:
        before = {tensor: flags.copy() for tensor, flags in gone.items()}
        for operator in graph.operators:
            _restrict(graph, operator, channels, gone)
        for flags in gone.values():
            _keep_whole_words(flags)
        changed = any((before[tensor] != flags).any() for tensor, flags in gone.items())
    return {tensor: flags for tensor, flags in gone.items() if flags.any()}


def _may_shrink(graph: Graph, tensor: int) -> bool:
    """Whether a tensor's producer and all its readers can do with fewer channels."""
    producer = graph.producer(tensor)
    if tensor in graph.outputs or graph.tensor(tensor).type is not TensorType.INT8:
        return False
    return (
        producer is not None
        and _shrinks(graph, producer)
        and all(_can_read_less(graph, reader, tensor) for reader in graph.consumers(tensor))
    )


def _shrinks(graph: Graph, operator: Operator) -> bool:
    if operator.opcode == "CONV_2D":
        return convolution_groups(graph, operator) == 1
    if operator.opcode == "RESHAPE":
        source, output = graph.tensor(operator.inputs[0]), graph.tensor(operator.outputs[0])
        return repeats_of_reshape(source, output) is not None
    return operator.opcode == "DEPTHWISE_CONV_2D" or operator.opcode in _POOLS


def _can_read_less(graph: Graph, operator: Operator, tensor: int) -> bool:
    if operator.inputs[0] != tensor or tensor in operator.inputs[1:]:
        return False
    if operator.opcode == "FULLY_CONNECTED":
        return graph.tensor(operator.inputs[1]).shape[1] % graph.tensor(tensor).shape[-1] == 0
    return _shrinks(graph, operator)


def _restrict(
    graph: Graph, operator: Operator, channels: dict[int, Channels], gone: dict[int, Bools]
) -> None:
    """Keeps what an operator can't do without."""
    source, output = operator.inputs[0] if operator.inputs else -1, operator.outputs[0]
    if operator.opcode == "CONV_2D":
        if source in gone:
            gone[source] &= absorbable(OpContext(graph, operator), channels[source])
    elif output in gone and _shrinks(graph, operator):
        # These go through channel by channel: both sides lose the same ones.
        count = graph.tensor(source).shape[-1]
        wide = gone[output]
        # A depthwise convolution has the outputs of one input side by side, a reshape repeats all.
        sides = (count, -1) if operator.opcode == "DEPTHWISE_CONV_2D" else (-1, count)
        axis = sides.index(-1)
        common = wide.reshape(sides).all(axis)
        common &= gone.get(source, np.zeros(count, np.bool_))
        wide[:] = np.broadcast_to(np.expand_dims(common, axis), wide.reshape(sides).shape).ravel()
        if source in gone:
            gone[source][:] = common


def _keep_whole_words(gone: Bools) -> None:
    """Takes back the last ones, so that something is left, in whole words if it was so."""
    granule = 1 if len(gone) % _GRANULE else _GRANULE
    kept = int((~gone).sum())
    wanted = max(-(-kept // granule), 1) * granule
    gone[np.nonzero(gone)[0][len(gone) - wanted :]] = False


# ---- Removing it ----------------------------------------------------------------------------


class _Rewriter:
    """Makes the smaller graph, one operator at a time.

    Attributes:
        operators: How many got smaller.
    """

    def __init__(self, graph: Graph, gone: dict[int, Bools], channels: dict[int, Channels]) -> None:
        self._graph = graph
        self._gone = gone
        self._channels = channels
        self._tensors = [
            replace(tensor, shape=(*tensor.shape[:-1], int((~gone[tensor.index]).sum())))
            if tensor.index in gone
            else tensor
            for tensor in graph.tensors
        ]
        self._new_operators: list[Operator] = []
        self.operators = 0

    def graph(self) -> Graph:
        return replace(
            self._graph, tensors=tuple(self._tensors), operators=tuple(self._new_operators)
        )

    def rewrite(self, operator: Operator) -> None:
        """Takes an operator over, with fewer weights where channels are gone."""
        source, output = operator.inputs[0] if operator.inputs else -1, operator.outputs[0]
        if source in self._gone or output in self._gone:
            self.operators += 1
            if operator.opcode in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
                operator = self._with_fewer_weights(operator, source, output)
        self._new_operators.append(operator)

    def _kept(self, tensor: int) -> Array:
        shape = self._graph.tensor(tensor).shape
        gone = self._gone.get(tensor, np.zeros(shape[-1], np.bool_))
        return np.nonzero(~gone)[0]

    def _with_fewer_weights(self, operator: Operator, source: int, output: int) -> Operator:
        context = OpContext(self._graph, operator)
        weights, bias = context.input(1), context.optional_input(2)
        data = context.data(1)
        outputs = self._kept(output)
        if operator.opcode == "DEPTHWISE_CONV_2D":
            smaller, axis = data[..., outputs], 3
        else:
            repeats = data.shape[-1] // self._graph.tensor(source).shape[-1]
            count = self._graph.tensor(source).shape[-1]
            inputs = (np.arange(repeats)[:, None] * count + self._kept(source)).ravel()
            smaller, axis = data[outputs][..., inputs], 0
        indices = list(operator.inputs)
        indices[1] = self._constant(operator, weights, smaller, outputs, axis)
        added = np.zeros(len(outputs), np.int64)
        if operator.opcode != "DEPTHWISE_CONV_2D":
            added = self._contribution(context, source)[outputs]
        if bias is not None:
            values = self._int32(context.data(2).ravel()[outputs] + added)
            indices[2] = self._constant(operator, bias, values, outputs, 0)
        elif added.any():
            fresh = Tensor(0, f"{weights.name}_bias", (len(outputs),), TensorType.INT32)
            indices = [*indices[:2], self._append(replace(fresh, data=self._int32(added)))]
        return replace(operator, inputs=tuple(indices))

    def _contribution(self, context: OpContext, source: int) -> Array:
        """(filters,) what the input channels that are gone added to every place."""
        data = context.data(1).astype(np.int64)
        if source not in self._gone:
            return np.zeros(len(data), np.int64)
        tensor, weights = context.input(0), context.input(1)
        quantization = weights.quantization
        if quantization is not None and not quantization.per_channel:
            data = data - weights.zero_point
        channels = self._channels[source]
        offsets = np.where(self._gone[source], channels.values - tensor.zero_point, 0)
        sums = data.reshape(len(data), -1, len(offsets)).sum(1)
        result: Array = sums @ offsets
        return result

    @staticmethod
    def _int32(values: Array) -> Array:
        # The accumulators of the whole layer fit in 32 bits (the op's check), and so do parts.
        assert (values >= _INT32.min).all() and (values <= _INT32.max).all()
        return values.astype(np.int32)

    def _constant(
        self, operator: Operator, tensor: Tensor, data: Array, outputs: Array, axis: int
    ) -> int:
        """Puts a smaller constant in a tensor's place; beside it if others read it too."""
        quantization = tensor.quantization
        if quantization is not None and quantization.per_channel:
            quantization = _selected(quantization, outputs, axis)
        smaller = replace(
            tensor, shape=data.shape, shape_signature=(), quantization=quantization, data=data
        )
        if self._graph.consumers(tensor.index) == (operator,):
            self._tensors[tensor.index] = smaller
            return tensor.index
        return self._append(smaller)

    def _append(self, tensor: Tensor) -> int:
        self._tensors.append(replace(tensor, index=len(self._tensors)))
        return len(self._tensors) - 1


def _selected(
    quantization: Quantization, channels: Sequence[int] | Array, axis: int
) -> Quantization:
    zero_points = quantization.zero_points
    if len(zero_points) == len(quantization.scales):
        zero_points = tuple(zero_points[c] for c in channels)
    return Quantization(tuple(quantization.scales[c] for c in channels), zero_points, axis)

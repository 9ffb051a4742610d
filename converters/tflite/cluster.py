"""Weight clustering: few distinct integers a channel, so that a runtime can store indices instead.

The integers of each channel (of each tensor, where it has one scale) are grouped into at most
``2 ** bits`` clusters, and each becomes its cluster's mean. No grouping has a smaller squared
error: it is one-dimensional k-means solved by dynamic programming (Wang and Song, "Ckmeans.1d.dp:
Optimal k-means Clustering in One Dimension by Dynamic Programming", The R Journal 3/2, 2011), over
the at most 256 integers that occur. Scales, zero points and biases stay.

Han et al., "Deep Compression" (ICLR 2016), introduced shared weights; here nothing is retrained, so
the loss has to pass the accuracy gate.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from converters.errors import TidepoolError
from converters.tflite.graph import Array, Graph, Tensor, TensorType

MAX_BITS = 7
"""TFLM's lookup tables have indices of one to seven bits."""

_OPS_WITH_WEIGHTS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})


@dataclass(frozen=True)
class Clustering:
    """A graph with clustered weights.

    Attributes:
        graph: The graph; only weights differ.
        changed: Indices of the tensors that changed.
        worst_error: The largest distance of a weight from its old value, in steps of its scale.
        mean_error: The mean of these distances over all weights of the changed tensors.
    """

    graph: Graph
    changed: tuple[int, ...]
    worst_error: int
    mean_error: float


def cluster_weights(graph: Graph, bits: int) -> Clustering:
    """Groups the weights of a full-integer graph into at most ``2 ** bits`` values a channel.

    Args:
        graph: An int8 graph.
        bits: 1 to ``MAX_BITS``.

    Raises:
        TidepoolError: ``bits`` is out of range.
    """
    if not 1 <= bits <= MAX_BITS:
        raise TidepoolError(
            f"weights can't be clustered to {bits} bits", hint=f"choose 1 to {MAX_BITS} bits"
        )
    tensors = list(graph.tensors)
    errors = []
    changed = []
    for tensor in weights_of(graph):
        clustered = _cluster(tensor, 1 << bits)
        before, after = tensor.data, clustered.data
        assert before is not None
        assert after is not None
        error = np.abs(before.astype(np.int64) - after.astype(np.int64))
        if error.any():
            tensors[tensor.index] = clustered
            changed.append(tensor.index)
            errors.append(error.ravel())
    distances = np.concatenate(errors) if errors else np.zeros(1, np.int64)
    return Clustering(
        graph=replace(graph, tensors=tuple(tensors)),
        changed=tuple(changed),
        worst_error=int(distances.max()),
        mean_error=float(distances.mean()),
    )


def weights_of(graph: Graph) -> tuple[Tensor, ...]:
    """The constant int8 weights of convolutions and dense layers, each once."""
    indices = dict.fromkeys(
        op.inputs[1]
        for op in graph.operators
        if op.opcode in _OPS_WITH_WEIGHTS and len(op.inputs) > 1
    )
    tensors = [graph.tensor(index) for index in indices if index >= 0]
    return tuple(t for t in tensors if t.is_constant and t.type is TensorType.INT8)


def table_slices(tensor: Tensor) -> list[Array]:
    """The parts of a constant tensor that share a table of values.

    Channels along the quantization's axis where each has a scale of its own, else the whole.
    """
    assert tensor.data is not None
    if tensor.quantization is None or not tensor.quantization.per_channel:
        return [tensor.data]
    return list(np.moveaxis(tensor.data, tensor.quantization.axis, 0))


def _cluster(tensor: Tensor, count: int) -> Tensor:
    parts = [_quantize_values(part, count) for part in table_slices(tensor)]
    if tensor.quantization is None or not tensor.quantization.per_channel:
        return replace(tensor, data=parts[0])
    return replace(tensor, data=np.moveaxis(np.stack(parts), 0, tensor.quantization.axis))


def _quantize_values(values: Array, count: int) -> Array:
    """The same integers with at most ``count`` distinct ones, of least squared error."""
    levels, inverse, occurrences = np.unique(values, return_inverse=True, return_counts=True)
    if levels.size <= count:
        return values
    bounds = _optimal_bounds(levels.astype(np.float64), occurrences, count)
    means = np.empty_like(levels)
    for first, last in itertools.pairwise(bounds):
        part = slice(first, last)
        # A mean lies within its cluster, so no value leaves the tensor's range.
        means[part] = np.rint(np.average(levels[part], weights=occurrences[part]))
    clustered: Array = means[inverse].reshape(values.shape)
    return clustered


def _optimal_bounds(levels: NDArray[np.float64], occurrences: Array, count: int) -> list[int]:
    """Where each of ``count`` clusters of sorted levels begins, and the end of the last."""
    size = levels.size
    costs = _costs(levels, occurrences)
    best = costs[0]
    choices = []
    for _ in range(count - 1):
        # best[j] is the least cost of levels[:j] so far; one more cluster takes levels[i:j].
        total = best[:, None] + costs
        choices.append(total.argmin(axis=0))
        best = total.min(axis=0)
    bounds = [size]
    for choice in reversed(choices):
        bounds.append(int(choice[bounds[-1]]))
    return [0, *reversed(bounds)]


def _costs(levels: NDArray[np.float64], occurrences: Array) -> NDArray[np.float64]:
    """``costs[i, j]``: the squared error of ``levels[i:j]`` as one cluster; infinite for none."""

    def prefix(values: Array) -> NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])

    number = prefix(occurrences)
    total = prefix(occurrences * levels)
    squares = prefix(occurrences * levels**2)
    first, last = np.indices((levels.size + 1, levels.size + 1))
    members = np.maximum(number[last] - number[first], 1)
    errors = squares[last] - squares[first] - (total[last] - total[first]) ** 2 / members
    costs: NDArray[np.float64] = np.where(first < last, errors, np.inf)
    return costs

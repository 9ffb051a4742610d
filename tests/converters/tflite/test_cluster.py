from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from converters.errors import TidepoolError
from converters.tflite import read_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.cluster import cluster_weights, table_slices, weights_of
from converters.tflite.graph import Array, Graph, Padding
from converters.tflite.options import Conv2DOptions, FullyConnectedOptions


def dense(weights: Array) -> Graph:
    b = GraphBuilder("dense")
    x = b.input((1, weights.shape[1]), scale=0.1, zero_point=0)
    w = b.constant(weights, scales=[0.1], zero_points=[0])
    bias = b.constant(np.zeros(weights.shape[0], np.int32), scales=[0.01], zero_points=[0])
    shape = (1, weights.shape[0])
    y = b.op(
        "FULLY_CONNECTED",
        [x, w, bias],
        FullyConnectedOptions(),
        shape=shape,
        scale=0.1,
        zero_point=0,
    )
    b.output(y)
    return b.graph()


def convolution(weights: Array) -> Graph:
    b = GraphBuilder("conv")
    channels = weights.shape[0]
    x = b.input((1, 4, 4, weights.shape[3]), scale=0.1, zero_point=0)
    w = b.constant(weights, scales=[0.1] * channels, zero_points=[0] * channels, axis=0)
    bias = b.constant(np.zeros(channels, np.int32), scales=[0.01] * channels)
    options = Conv2DOptions(padding=Padding.SAME)
    shape = (1, 4, 4, channels)
    b.output(b.op("CONV_2D", [x, w, bias], options, shape=shape, scale=0.1, zero_point=0))
    return b.graph()


def clustered_weights(graph: Graph) -> Array:
    (tensor,) = weights_of(graph)
    assert tensor.data is not None
    return tensor.data


def least_error(values: Array, count: int) -> float:
    """By trying every way to cut the sorted values into ``count`` runs, with real means."""
    ordered = np.sort(values.ravel()).astype(float)
    cuts = itertools.combinations(range(1, ordered.size), count - 1)
    return min(
        sum(((part - part.mean()) ** 2).sum() for part in np.split(ordered, list(cut)))
        for cut in cuts
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bits", [1, 2])
def test_no_grouping_has_a_smaller_error(seed: int, bits: int) -> None:
    values = np.random.default_rng(seed).integers(-128, 128, (1, 9)).astype(np.int8)
    result = clustered_weights(cluster_weights(dense(values), bits).graph)
    groups = [values[result == level].astype(float) for level in np.unique(result)]
    error = sum(((group - group.mean()) ** 2).sum() for group in groups)
    assert error == pytest.approx(least_error(values, 2**bits))
    for level, group in zip(np.unique(result), groups, strict=True):
        assert abs(level - group.mean()) <= 0.5


def test_each_channel_has_its_own_values() -> None:
    weights = np.arange(-64, 64, dtype=np.int8).reshape(4, 2, 4, 4)
    before = convolution(weights)
    found = cluster_weights(before, 2)
    result = clustered_weights(found.graph)
    assert [np.unique(channel).size for channel in result] == [4] * 4
    assert np.unique(result).size == 16
    (tensor,) = weights_of(found.graph)
    assert [part.shape for part in table_slices(tensor)] == [(2, 4, 4)] * 4
    assert found.changed == (tensor.index,)
    difference = np.abs(result.astype(int) - weights.astype(int))
    assert found.worst_error == difference.max()
    assert found.mean_error == pytest.approx(difference.mean())
    untouched = [t for t in before.tensors if t.index != tensor.index]
    assert all(found.graph.tensor(t.index) is t for t in untouched)


def test_few_values_stay_as_they_are() -> None:
    graph = dense(np.tile(np.array([-5, 0, 3, 7], np.int8), (2, 4)))
    found = cluster_weights(graph, 2)
    assert found.changed == ()
    assert (found.worst_error, found.mean_error) == (0, 0.0)
    np.testing.assert_array_equal(clustered_weights(found.graph), clustered_weights(graph))


@pytest.mark.parametrize("bits", [0, 8, -1])
def test_bits_out_of_range_are_refused(bits: int) -> None:
    with pytest.raises(TidepoolError, match=f"clustered to {bits} bits") as error:
        cluster_weights(dense(np.zeros((1, 4), np.int8)), bits)
    assert "1 to 7" in error.value.hint


def test_a_real_model_keeps_to_its_number_of_values(mlperf_tiny_model: Path) -> None:
    graph = read_graph(mlperf_tiny_model)
    found = cluster_weights(graph, 4)
    assert found.changed
    for tensor in weights_of(found.graph):
        assert max(np.unique(part).size for part in table_slices(tensor)) <= 16
    again = cluster_weights(found.graph, 4)
    assert again.changed == ()

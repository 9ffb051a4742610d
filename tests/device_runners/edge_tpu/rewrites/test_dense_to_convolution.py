from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.rewriting import (
    all_map,
    assert_every_common_tensor_is_equal,
    opcodes,
    rewritten_by,
    the_pass,
)

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import FullyConnectedOptions
from device_runners.edge_tpu.rewrites.dense_to_convolution import same_steps
from device_runners.edge_tpu.rewrites.reference import oracle


def dense(
    rng: np.random.Generator,
    shape: tuple[int, ...] = (1, 10, 6),
    *,
    keep: bool = True,
    per_channel: bool = False,
    bias: bool = True,
    activation: Activation = Activation.NONE,
    scales: tuple[float, float, float] | None = None,
) -> Graph:
    """A FULLY_CONNECTED of random weights; ``scales`` are those of input, weights and output."""
    b = GraphBuilder("dense")
    units, depth = 5, shape[-1]
    source, weight, output = scales or (0.05, float(10 ** rng.uniform(-3, -1)), 0.3)
    x = b.input(shape, source, int(rng.integers(-128, 128)))
    own = [float(np.float32(s)) for s in weight * rng.uniform(0.5, 2, units)]
    own = own if per_channel else [float(np.float32(weight))]
    weights = rng.integers(-127, 128, (units, depth)).astype(np.int8)
    inputs = [x, b.constant(weights, scales=own)]
    if bias:
        values = rng.integers(-3000, 3000, units).astype(np.int32)
        products = [float(np.float32(source) * np.float32(s)) for s in own]
        inputs.append(b.constant(values, scales=products))
    else:
        inputs.append(-1)
    rows = int(np.prod(shape[:-1]))
    y = b.op(
        "FULLY_CONNECTED",
        inputs,
        FullyConnectedOptions(fused_activation_function=activation, keep_num_dims=keep),
        shape=(*shape[:-1], units) if keep else (rows, units),
        scale=output,
        zero_point=int(rng.integers(-128, 128)),
        version=5 if keep else 4,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("seed", range(24))
def test_every_output_is_what_it_was(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = ((1, 10, 6), (1, 3, 4, 6), (1, 1, 6), (10, 6), (1, 7, 33))
    graph = dense(
        rng,
        shapes[seed % len(shapes)],
        keep=bool(rng.random() < 0.7),
        per_channel=bool(rng.random() < 0.3),
        bias=bool(rng.random() < 0.7),
        activation=(Activation.NONE, Activation.RELU, Activation.RELU6)[int(rng.integers(3))],
    )
    change = the_pass("dense_to_convolution").run(graph)
    if change is None:
        assert all_map(graph)
        return
    assert_every_common_tensor_is_equal(graph, change.graph, rng, samples=20)
    assert all_map(change.graph)


def test_rows_become_places_of_an_image() -> None:
    graph = dense(np.random.default_rng(0), (1, 10, 6))
    assert not all_map(graph)
    after = rewritten_by("dense_to_convolution", graph)
    assert opcodes(after) == ["RESHAPE v1", "CONV_2D v3", "RESHAPE v1"]
    assert after.outputs_of(after.operators[1])[0].shape == (1, 1, 10, 5)


def test_rows_that_keep_no_dimensions_are_at_risk_and_become_a_convolution_too() -> None:
    graph = dense(np.random.default_rng(0), (10, 6), keep=False)
    after = rewritten_by("dense_to_convolution", graph)
    assert opcodes(after) == ["RESHAPE v1", "CONV_2D v3", "RESHAPE v1"]


def test_a_single_row_stays_a_dense_layer() -> None:
    graph = dense(np.random.default_rng(0), (1, 1, 6))
    after = rewritten_by("dense_to_convolution", graph)
    assert opcodes(after) == ["RESHAPE v1", "FULLY_CONNECTED v4", "RESHAPE v1"]
    assert all_map(after)


def test_a_flat_dense_layer_is_left_alone() -> None:
    graph = dense(np.random.default_rng(0), (1, 6), keep=False)
    assert the_pass("dense_to_convolution").run(graph) is None


def far_off(rng: np.random.Generator) -> Graph:
    """Accumulators so large that the last bit of the factor decides on them."""
    graph = dense(rng, (1, 10, 6), scales=(0.0371, 0.00123, 250.0))
    bias = graph.operators[0].inputs[2]
    values = np.array([2**30, -(2**30), 2**29, 7 * 2**27, 5], np.int32)
    tensors = list(graph.tensors)
    tensors[bias] = replace(tensors[bias], data=values)
    return replace(graph, tensors=tuple(tensors))


def test_where_the_kernels_would_differ_it_stays_a_dense_layer_on_two_dimensions() -> None:
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        graph = far_off(rng)
        after = rewritten_by("dense_to_convolution", graph)
        assert_every_common_tensor_is_equal(graph, after, rng)
        assert all_map(after)
        found.append(after.operators[1].opcode)
    assert "FULLY_CONNECTED" in found


def test_an_unequal_factor_is_seen_by_the_comparison_of_steps() -> None:
    """And one that differs in a bit that no accumulator reaches is not."""
    a = quantize_multiplier(0.001234)
    assert same_steps(a, replace(a, value=a.value + 1), -5_000, 5_000, 0)
    b = replace(a, value=a.value + 2**16)
    outputs = [(a.apply(x), b.apply(x)) for x in range(-50_000, 50_000)]
    differ = any(one != other for one, other in outputs if -128 <= one <= 127)
    assert differ
    assert not same_steps(a, b, -200_000, 200_000, 0)


@pytest.mark.parametrize("seed", range(6))
def test_steps_alike_means_equal_for_every_accumulator(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = quantize_multiplier(float(10 ** rng.uniform(-3.5, -2)))
    b = Multiplier(a.value + int(rng.integers(0, 2**14)), a.shift)
    zero_point = int(rng.integers(-128, 128))
    low, high = -60_000, 50_000
    outputs = [
        [max(-128, min(127, m.apply(x) + zero_point)) for x in range(low, high + 1)] for m in (a, b)
    ]
    assert same_steps(a, b, low, high, zero_point) == (outputs[0] == outputs[1])


def test_the_scale_of_the_weights_moves_by_few_units_in_the_last_place() -> None:
    moved = set()
    for seed in range(30):
        graph = dense(np.random.default_rng(seed))
        after = rewritten_by("dense_to_convolution", graph)
        before = graph.tensor(graph.operators[0].inputs[1])
        filters = after.tensor(after.operators[1].inputs[1])
        moved.add(abs(filters.scale - before.scale) / before.scale)
    assert max(moved) <= 8 * 2**-23


def test_the_reference_takes_both_kernels() -> None:
    """The oracle itself says that this fully connected layer and its convolution agree."""
    rng = np.random.default_rng(9)
    graph = dense(rng, (1, 64, 6))
    after = rewritten_by("dense_to_convolution", graph)
    sample = [rng.integers(-128, 128, (1, 64, 6)).astype(np.int8)]
    first, second = oracle(graph).run(sample)[0], oracle(after).run(sample)[0]
    assert len(np.unique(first)) > 20
    np.testing.assert_array_equal(first, second)

"""Dead-channel elimination: what goes, what stays, and that every tensor keeps its values."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.graphs import (
    RandomGraph,
    add,
    average_pool_2d,
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
    max_pool_2d,
    random_inputs,
    reshape,
)
from support.host_equality import assert_every_tensor_equals_reference
from support.models import int8_model

from converters.tflite import write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import (
    AddOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
)
from device_runners.cgen import HostBuild, build, full_trace
from device_runners.cgen.constant_channels import constant_channels
from device_runners.cgen.passes import run_passes
from device_runners.cgen.program import Program
from device_runners.cgen.runner import check
from device_runners.host.oracle import Oracle


def with_dead_filters(graph: Graph, rng: np.random.Generator) -> Graph:
    """Sets many filters to zero, some layers' altogether, and most of their biases."""
    tensors = list(graph.tensors)
    for op in graph.operators:
        depthwise = op.opcode == "DEPTHWISE_CONV_2D"
        if op.opcode != "CONV_2D" and (not depthwise or rng.random() < 0.6):
            continue
        weights = tensors[op.inputs[1]]
        assert weights.data is not None
        data = np.moveaxis(weights.data.copy(), 3 if depthwise else 0, 0)
        dead = rng.random(len(data)) < rng.choice([0.2, 0.6, 0.9, 1.0])
        data[dead] = 0
        data = np.moveaxis(data, 0, 3) if depthwise else data
        tensors[weights.index] = replace(weights, data=data)
        if len(op.inputs) == 3 and rng.random() < 0.8:
            # The zero point, or constants that do not saturate.
            bias = tensors[op.inputs[2]]
            assert bias.data is not None
            small = bias.data // 64 * (rng.random() < 0.3)
            tensors[bias.index] = replace(bias, data=np.where(dead, small, bias.data))
    return replace(graph, tensors=tuple(tensors))


def random_graph(seed: int, attempt: int = 0) -> Graph:
    rng = np.random.default_rng([11, seed, attempt])
    g = RandomGraph(rng)
    x = g.source()
    while len(x.shape) != 4:
        g = RandomGraph(rng)
        x = g.source()
    ops = (conv_2d, conv_2d, depthwise_conv_2d, depthwise_conv_2d, max_pool_2d, average_pool_2d)
    for _ in range(g.between(3, 6)):
        g.pick((*ops, *ops, add) if seed % 3 == 0 else ops)(g, g.values[-1])
    if g.chance(0.5):
        reshape(g, g.values[-1])
    if g.chance(0.6):
        fully_connected(g, g.values[-1])
    return with_dead_filters(g.graph(), rng)


def random_dead_graph(seed: int) -> Graph:
    """One that loses channels."""
    graphs = (random_graph(seed, attempt) for attempt in itertools.count())
    return next(graph for graph in graphs if run_passes(Program(graph)).removed)


def _assert_equal(seed: int, folder: Path) -> None:
    """Compares all tensors, with what is said of the channels that were left out."""
    graph = random_dead_graph(seed)
    rng = np.random.default_rng(seed)
    samples = [random_inputs(rng, graph) for _ in range(2)]
    artifacts = assert_every_tensor_equals_reference(graph, samples, folder)
    assert any(tensor["removed"] is not None for tensor in artifacts.figures["tensors"])


@pytest.mark.parametrize("seed", range(6))
def test_every_tensor_keeps_its_values(seed: int, tmp_path: Path) -> None:
    _assert_equal(seed, tmp_path)


@pytest.mark.slow
def test_every_tensor_of_many_graphs_keeps_its_values(tmp_path: Path) -> None:
    for seed in range(100, 160):
        _assert_equal(seed, tmp_path / str(seed))


def test_constants_are_what_the_reference_computes_for_any_input() -> None:
    """The analysis by itself, against the oracle: also for what no pass removes."""
    found = 0
    for seed in range(200, 220):
        graph = random_graph(seed)
        oracle = Oracle(write_graph(graph), all_tensors=True)
        oracle.run(random_inputs(np.random.default_rng(seed), graph))
        for tensor, channels in constant_channels(graph).items():
            values = oracle.tensor(tensor)[..., channels.known]
            expected = np.broadcast_to(channels.values[channels.known], values.shape)
            np.testing.assert_array_equal(values, expected)
            found += int(channels.known.sum())
    assert found > 50


# ---- Single cases -----------------------------------------------------------------------------


def _conv(
    b: GraphBuilder,
    x: int,
    shape: tuple[int, ...],
    weights: np.ndarray,
    bias: list[int],
    zero_point: int = -128,
) -> int:
    w = b.constant(weights.astype(np.int8), scales=[0.02] * len(weights), axis=0)
    c = b.constant(np.array(bias, np.int32), scales=[0.002] * len(weights))
    options = Conv2DOptions(Padding.SAME, 1, 1, Activation.NONE, 1, 1)
    return b.op(
        "CONV_2D", [x, w, c], options, shape=shape, scale=0.1, zero_point=zero_point, version=3
    )


def _filters(count: int, depth: int, size: int = 1, dead: tuple[int, ...] = ()) -> np.ndarray:
    weights = np.random.default_rng(count * depth).integers(1, 100, (count, size, size, depth))
    weights[list(dead)] = 0
    return weights


def _chain(second_size: int, bias: int, *, keep_first: bool = False) -> Graph:
    """Eight filters, four of them dead, and a second convolution that reads them."""
    b = GraphBuilder("chain")
    x = b.input((1, 5, 5, 4), 0.1, 3)
    first = _filters(8, 4, dead=(1, 3, 4, 6))
    y = _conv(b, x, (1, 5, 5, 8), first, [bias] * 8)
    z = _conv(b, y, (1, 5, 5, 4), _filters(4, 8, second_size), [5, -9, 77, 0])
    b.output(z)
    if keep_first:
        b.output(y)
    return b.graph()


def _program(graph: Graph) -> Program:
    check(graph).raise_if_blocking()
    return run_passes(Program(graph))


def test_filters_that_emit_the_zero_point_go() -> None:
    graph = _chain(second_size=3, bias=0)
    program = _program(graph)
    y, z = (op.outputs[0] for op in graph.operators)
    assert program.graph.tensor(y).shape == (1, 5, 5, 4)
    assert program.removed[y].kept.tolist() == [0, 2, 5, 7]
    assert z not in program.removed
    (saving,) = program.savings
    assert saving.operators == 2
    assert "left out 4 filters" in saving.text


def test_another_constant_goes_into_the_next_bias() -> None:
    graph = _chain(second_size=1, bias=1000)
    program = _program(graph)
    y = graph.operators[0].outputs[0]
    constant = program.removed[y].values[1]
    assert constant == -128 + 20
    second = program.graph.operators[1]
    bias = program.graph.tensor(second.inputs[2]).data
    weights = graph.tensor(graph.operators[1].inputs[1]).data
    assert bias is not None and weights is not None
    sums = weights[:, 0, 0, [1, 3, 4, 6]].astype(int).sum(1)
    assert (bias - [5, -9, 77, 0]).tolist() == (20 * sums).tolist()


def test_another_constant_stays_where_padding_would_make_a_difference() -> None:
    assert not _program(_chain(second_size=3, bias=1000)).removed


def test_outputs_of_the_graph_keep_their_channels() -> None:
    assert not _program(_chain(second_size=1, bias=0, keep_first=True)).removed


def test_a_reader_that_needs_all_channels_keeps_them() -> None:
    b = GraphBuilder("sum")
    x = b.input((1, 5, 5, 4), 0.1, 3)
    y = _conv(b, x, (1, 5, 5, 8), _filters(8, 4, dead=(0, 1, 2, 3)), [0] * 8)
    z = _conv(b, y, (1, 5, 5, 8), _filters(8, 8), [0] * 8)
    b.output(
        b.op("ADD", [y, z], AddOptions(), shape=(1, 5, 5, 8), scale=0.2, zero_point=0, version=2)
    )
    assert not _program(b.graph()).removed


def test_some_channels_are_left_when_all_are_dead(tmp_path: Path) -> None:
    b = GraphBuilder("dead")
    x = b.input((1, 3, 3, 2), 0.1, 3)
    y = _conv(b, x, (1, 3, 3, 8), _filters(8, 2, dead=tuple(range(8))), [7] * 8)
    b.output(_conv(b, y, (1, 3, 3, 2), _filters(2, 8), [0, 1]))
    graph = b.graph()
    assert _program(graph).graph.tensor(y).shape == (1, 3, 3, 4)
    samples = [[np.arange(18, dtype=np.int8).reshape(1, 3, 3, 2)]]
    assert_every_tensor_equals_reference(graph, samples, tmp_path)


def _depthwise_and_dense() -> Graph:
    b = GraphBuilder("tail")
    x = b.input((1, 4, 4, 3), 0.1, -7)
    y = _conv(b, x, (1, 4, 4, 8), _filters(8, 3, dead=(0, 2, 5, 7)), [0] * 8)
    taps = np.random.default_rng(1).integers(-99, 99, (1, 3, 3, 8)).astype(np.int8)
    w = b.constant(taps, scales=[0.01] * 8, axis=3)
    options = DepthwiseConv2DOptions(Padding.SAME, 1, 1, 1, Activation.RELU, 1, 1)
    c = b.constant(np.arange(-400, 400, 100, np.int32), scales=[0.001] * 8)
    shape = (1, 4, 4, 8)
    z = b.op("DEPTHWISE_CONV_2D", [y, w, c], options, shape=shape, scale=0.1, zero_point=-128)
    size = b.constant(np.array([1, 128], np.int32))
    flat = b.op("RESHAPE", [z, size], None, shape=(1, 128), scale=0.1, zero_point=-128, version=1)
    weights = np.random.default_rng(2).integers(-99, 99, (5, 128)).astype(np.int8)
    dense = [flat, b.constant(weights, scales=[0.02], zero_points=[4]), -1]
    fully = FullyConnectedOptions(fused_activation_function=Activation.NONE)
    b.output(
        b.op("FULLY_CONNECTED", dense, fully, shape=(1, 5), scale=1.0, zero_point=2, version=4)
    )
    return b.graph()


def test_channels_go_through_depthwise_reshape_and_dense(tmp_path: Path) -> None:
    graph = _depthwise_and_dense()
    program = _program(graph)
    assert [program.graph.tensor(op.outputs[0]).shape for op in graph.operators] == [
        (1, 4, 4, 4),
        (1, 4, 4, 4),
        (1, 64),
        (1, 5),
    ]
    # The dense layer had no bias; it has got one for the channels that are not at the zero point.
    dense = program.graph.operators[3]
    assert program.graph.tensor(dense.inputs[2]).shape == (5,)
    rng = np.random.default_rng(3)
    samples = [[rng.integers(-128, 128, (1, 4, 4, 3)).astype(np.int8)] for _ in range(3)]
    assert_every_tensor_equals_reference(graph, samples, tmp_path)


def test_weights_that_another_operator_shares_stay(tmp_path: Path) -> None:
    b = GraphBuilder("shared")
    x = b.input((1, 4, 4, 8), 0.1, 3)
    w = b.constant(_filters(8, 8, dead=(0, 2, 5, 7)).astype(np.int8), scales=[0.02])
    c = b.constant(np.zeros(8, np.int32), scales=[0.002])
    options = Conv2DOptions(Padding.SAME, 1, 1, Activation.NONE, 1, 1)
    y = x
    for _ in range(2):
        inputs = [y, w, c]
        y = b.op(
            "CONV_2D", inputs, options, shape=(1, 4, 4, 8), scale=0.1, zero_point=-128, version=3
        )
    b.output(y)
    graph = b.graph()
    program = _program(graph)
    assert program.graph.tensor(w).shape == (8, 1, 1, 8)
    assert [program.graph.tensor(op.inputs[1]).shape for op in program.graph.operators] == [
        (4, 1, 1, 8),
        (8, 1, 1, 4),
    ]
    samples = [[np.random.default_rng(3).integers(-128, 128, (1, 4, 4, 8)).astype(np.int8)]]
    assert_every_tensor_equals_reference(graph, samples, tmp_path)


def test_a_wrong_constant_would_be_found(tmp_path: Path) -> None:
    """What the code leaves out is compared as well: with what the pass says that it holds."""
    graph = _chain(second_size=1, bias=1000)
    artifacts = build(int8_model(graph), tmp_path / "aot")
    y = graph.operators[0].outputs[0]
    (tensor,) = (t for t in artifacts.figures["tensors"] if t["index"] == y)
    tensor["removed"]["values"][3] += 1
    sample = [np.zeros((1, 5, 5, 4), np.int8)]
    with HostBuild(artifacts) as host:
        traced = host.run_traced(sample)[y]
    assert (traced[..., 3] == -107).all() and (traced[..., 1] == -108).all()


def test_a_trace_of_bytes_is_made_whole() -> None:
    graph = _chain(second_size=1, bias=1000)
    x, y = graph.inputs[0], graph.operators[0].outputs[0]
    live = np.arange(100, dtype=np.int8)
    whole = full_trace(graph, {(0, x): b"abc", (0, y): live.tobytes()})
    assert whole[0, x] == b"abc"
    pixels = np.frombuffer(whole[0, y], np.int8).reshape(5, 5, 8)
    np.testing.assert_array_equal(pixels[..., [0, 2, 5, 7]].ravel(), live)
    assert (pixels[..., [1, 3, 4, 6]] == -108).all()


def test_the_generated_header_says_what_was_left_out(tmp_path: Path) -> None:
    artifacts = build(int8_model(_chain(second_size=3, bias=0)), tmp_path / "aot")
    header = (artifacts.directory / "chain.h").read_text()
    assert "left out 4 filters whose output never changes" in header
    source = (artifacts.directory / "chain.c").read_text()
    assert "4 of 8 channels are constant and left out" in source

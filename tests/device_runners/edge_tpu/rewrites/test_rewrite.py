"""All passes together: random graphs, real models, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.graphs import make_random_graph, random_inputs
from support.rewriting import assert_equal, opcodes

from converters.errors import TidepoolError
from converters.tflite import write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, OperatorCode
from converters.tflite.options import Conv2DOptions, FullyConnectedOptions
from converters.tflite.reader import read_graph
from device_runners.edge_tpu.macs import operator_macs
from device_runners.edge_tpu.preflight import preflight
from device_runners.edge_tpu.rewrites import DESCRIPTIONS, NAMES, Part, Rewritten, Source, rewrite
from device_runners.edge_tpu.rewrites.effect import WholeModel, measure
from device_runners.edge_tpu.rewrites.reference import oracle

PAIRS = (
    "deeplab_mobilenet_edgetpu_slim_cityscapes_quant",
    "deeplabv3_mnv2_dm05_pascal_quant",
    "keras_lstm_mnist_ptq",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v2_1.0_224_quant",
    "movenet_single_pose_lightning_ptq",
    "posenet_mobilenet_v1_075_353_481_quant_decoder",
    "split_concat",
)
# What is done to the compiler's real inputs: nothing to the five that map as far as they can.
CHANGED = {
    "deeplab_mobilenet_edgetpu_slim_cityscapes_quant": ["cut_tail"],
    "movenet_single_pose_lightning_ptq": ["io_types", "unpack", "cut_tail"],
    "posenet_mobilenet_v1_075_353_481_quant_decoder": ["cut_tail"],
}


def names(rewritten: Rewritten) -> list[str]:
    return [one.name for one in rewritten.applied]


def mapped_macs(graph: Graph) -> int:
    mapped = (op.index for op in preflight(graph).ops if op.mapped)
    return sum(operator_macs(graph, graph.operators[index]) for index in mapped)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_random_graphs_give_what_they_gave(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = make_random_graph(rng)
    rewritten = rewrite(graph)
    before, after = oracle(graph), WholeModel(rewritten)
    for _ in range(2):
        inputs = random_inputs(rng, graph)
        assert_equal(before.run(inputs), after.run(inputs))
    assert len(preflight(rewritten.graph).refused) <= len(preflight(graph).refused)
    assert mapped_macs(rewritten.graph) >= mapped_macs(graph)
    assert names(rewrite(rewritten.graph)) == []


@pytest.mark.parametrize("name", PAIRS)
def test_the_compilers_real_inputs(edge_tpu_pairs: Path, name: str) -> None:
    graph = read_graph(edge_tpu_pairs / f"{name}.tflite")
    rewritten = rewrite(graph)
    assert names(rewritten) == CHANGED.get(name, [])
    assert (rewritten.graph is graph) is (name not in CHANGED)
    before, after = preflight(graph), preflight(rewritten.graph)
    assert {op.output for op in before.ops if op.mapped} <= {
        op.output for op in after.ops if op.mapped
    }
    assert rewrite(rewritten.graph).graph is rewritten.graph


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CHANGED))
def test_results_of_the_compilers_real_inputs(edge_tpu_pairs: Path, name: str) -> None:
    graph = read_graph(edge_tpu_pairs / f"{name}.tflite")
    rewritten = rewrite(graph)
    if "posenet" not in name:
        effect = measure(graph, rewritten, count=1)
        assert (effect.differing, effect.max_difference) == (0, 0)
        return
    # The decoder is an op of its own, which no interpreter here has: all but it is compared.
    assert rewritten.tail is not None
    assert [op.display_name for op in rewritten.tail.operators] == ["CUSTOM:PosenetDecoderOp"]
    rest, given_to_it = graph.operators[:-1], graph.operators[-1].inputs
    inputs = random_inputs(np.random.default_rng(0), graph)
    inputs = [array.view(np.uint8) for array in inputs]
    expected = oracle(replace(graph, operators=rest, outputs=given_to_it)).run(inputs)
    found = oracle(rewritten.graph).run(inputs)
    assert_equal(expected, [found[s.position] for s in rewritten.tail_inputs])


def test_mlperf_tiny_models_need_nothing(mlperf_tiny_model: Path) -> None:
    graph = read_graph(mlperf_tiny_model)
    rewritten = rewrite(graph)
    assert rewritten.graph is graph
    assert rewritten.applied == ()
    assert rewritten.outputs == (Source(Part.HEAD, 0),)


def grouped_with_a_tail() -> Graph:
    b = GraphBuilder("grouped")
    x = b.input((1, 4, 4, 8), 0.1, 0)
    weights = b.constant(np.ones((4, 1, 1, 4), np.int8), scales=[0.01], axis=0)
    bias = b.constant(np.zeros(4, np.int32), scales=[0.001])
    y = b.op(
        "CONV_2D",
        [x, weights, bias],
        Conv2DOptions(),
        shape=(1, 4, 4, 4),
        scale=0.1,
        zero_point=0,
        version=6,
    )
    b.output(b.op("EXP", [y], None, shape=(1, 4, 4, 4), scale=0.1, zero_point=0, version=2))
    graph = b.graph()
    codes = [OperatorCode(op.opcode, op.version) for op in graph.operators]
    return replace(graph, operator_codes=(*codes, OperatorCode("GELU", 2)))


def test_what_was_done_is_said() -> None:
    graph = grouped_with_a_tail()
    rewritten = rewrite(graph)
    assert names(rewritten) == ["prune_operator_codes", "grouped_convolution", "cut_tail"]
    assert all(one.exact and one.count == 1 for one in rewritten.applied)
    assert rewritten.applied[1].operators == ("CONV_2D 'tensor_3'",)
    assert "Splits a grouped convolution" in rewritten.applied[1].note
    summary = json.loads(json.dumps(rewritten.summary()))
    assert summary["tail"] == {
        "operators": ["EXP"],
        "inputs": [{"name": "tensor_3", "part": "head", "position": 0}],
        "outputs": ["tensor_4"],
    }
    assert summary["outputs"] == [{"part": "tail", "position": 0}]
    assert [one["name"] for one in summary["applied"]] == names(rewritten)
    effect = measure(graph, rewritten)
    assert (effect.samples, effect.elements, effect.differing) == (3, 3 * 64, 0)


def test_the_rewritten_graph_is_a_model_without_leftovers() -> None:
    rewritten = rewrite(grouped_with_a_tail())
    content = write_graph(rewritten.graph)
    again = read_graph(content)
    assert opcodes(again) == opcodes(rewritten.graph)
    used = {i for op in again.operators for i in (*op.inputs, *op.outputs)}
    assert used == set(range(len(again.tensors)))
    output_names = [t.name for op in again.operators for t in again.outputs_of(op)]
    assert len(set(output_names)) == len(output_names)
    assert write_graph(rewrite(again).graph) == content


def test_passes_can_be_left_out() -> None:
    graph = grouped_with_a_tail()
    rewritten = rewrite(graph, skip=NAMES)
    assert rewritten.graph is graph
    assert names(rewrite(graph, skip={"cut_tail", "prune_operator_codes"})) == [
        "grouped_convolution"
    ]
    with pytest.raises(TidepoolError, match="no rewrite called cut_head"):
        rewrite(graph, skip=["cut_head"])


def test_what_would_strand_more_than_it_frees_is_not_done() -> None:
    """A small dense layer before an obstacle would take the place of the network behind it."""
    b = GraphBuilder("stranding")
    x = b.input((1, 16, 16, 2), 0.1, 0)
    small = b.constant(np.ones((2, 2), np.int8), scales=[0.1])
    options = FullyConnectedOptions(keep_num_dims=True)
    shape = (1, 16, 16, 2)
    x = b.op(
        "FULLY_CONNECTED", [x, small, -1], options, shape=shape, scale=1, zero_point=0, version=5
    )
    x = b.op("ABS", [x], None, shape=shape, scale=1, zero_point=0, version=2)
    weights = b.constant(np.ones((8, 3, 3, 2), np.int8), scales=[0.1])
    bias = b.constant(np.zeros(8, np.int32), scales=[0.1])
    convolution = b.op(
        "CONV_2D",
        [x, weights, bias],
        Conv2DOptions(),
        shape=(1, 16, 16, 8),
        scale=1,
        zero_point=0,
        version=3,
    )
    b.output(convolution)
    graph = b.graph()
    assert [op.mapped for op in preflight(graph).ops] == [False, False, True]
    assert rewrite(graph).graph is graph
    assert rewrite(graph).applied == ()


def test_graphs_that_cannot_be_rewritten_come_back() -> None:
    graph = replace(grouped_with_a_tail(), subgraphs=2)
    assert rewrite(graph).graph is graph


def test_a_compiled_model_comes_back(edge_tpu_pairs: Path) -> None:
    graph = read_graph(edge_tpu_pairs / "movenet_single_pose_lightning_ptq_edgetpu.tflite")
    assert rewrite(graph).graph is graph


def test_measuring_sees_a_difference() -> None:
    """A bias that is off by one step of the output is one LSB everywhere."""
    graph = grouped_with_a_tail()
    rewritten = rewrite(graph, skip={"cut_tail"})
    tensors = list(rewritten.graph.tensors)
    for op in rewritten.graph.operators:
        if op.opcode == "CONV_2D":
            bias = tensors[op.inputs[2]]
            tensors[bias.index] = replace(bias, data=np.full(bias.shape, 100, np.int32))
    spoilt = replace(rewritten, graph=replace(rewritten.graph, tensors=tuple(tensors)))
    effect = measure(graph, spoilt)
    assert 0 < effect.differing <= effect.elements
    assert effect.max_difference >= 1


def test_every_pass_says_what_it_does_and_why_it_is_exact() -> None:
    assert len(set(NAMES)) == len(DESCRIPTIONS)
    for description in DESCRIPTIONS:
        assert description.summary.endswith(".")
        assert description.reason
        assert description.exactness.startswith("Exact")

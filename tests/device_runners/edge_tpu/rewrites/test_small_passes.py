"""merge_reshapes, lower_versions and prune_operator_codes."""

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
from converters.tflite.graph import Graph, OperatorCode
from converters.tflite.options import Conv2DOptions, FullyConnectedOptions, TransposeConvOptions
from device_runners.edge_tpu.preflight import preflight


def reshapes(*shapes: tuple[int, ...], read: int | None = None) -> Graph:
    """RELU, a RESHAPE to each shape in turn, RELU; one in between may be an output too."""
    b = GraphBuilder("reshapes")
    last = b.op("RELU", [b.input((1, 24), 0.1, 0)], None, shape=(1, 24), scale=0.1, zero_point=0)
    for number, shape in enumerate(shapes):
        inputs = [last, b.constant(np.array(shape, np.int32))]
        last = b.op("RESHAPE", inputs, None, shape=shape, scale=0.1, zero_point=0)
        if number == read:
            b.output(last)
    b.output(b.op("RELU6", [last], None, shape=shapes[-1], scale=0.1, zero_point=0))
    return b.graph()


@pytest.mark.parametrize(
    ("shapes", "read", "left"),
    [
        (((4, 6), (2, 12)), None, ["RESHAPE"]),
        (((4, 6), (2, 12), (3, 8)), None, ["RESHAPE"]),
        (((4, 6), (1, 24)), None, []),
        (((4, 6), (1, 24)), 0, ["RESHAPE"]),
        (((4, 6), (1, 24)), 1, ["RESHAPE"]),
        (((4, 6), (2, 12)), 0, ["RESHAPE", "RESHAPE"]),
    ],
)
def test_reshapes_of_reshapes(
    shapes: tuple[tuple[int, ...], ...], read: int | None, left: list[str]
) -> None:
    graph = reshapes(*shapes, read=read)
    after = rewritten_by("merge_reshapes", graph)
    assert [op.opcode for op in after.operators] == ["RELU", *left, "RELU6"]
    assert_every_common_tensor_is_equal(graph, after, np.random.default_rng(0))


def test_a_reshape_alone_stays() -> None:
    assert the_pass("merge_reshapes").run(reshapes((4, 6))) is None


def with_versions(graph: Graph, version: int) -> Graph:
    operators = tuple(replace(op, version=version) for op in graph.operators)
    return replace(graph, operators=operators)


def convolution(depth: int = 4) -> Graph:
    b = GraphBuilder("convolution")
    x = b.input((1, 4, 4, 4), 0.1, 0)
    weights = b.constant(np.ones((2, 1, 1, depth), np.int8), scales=[0.1])
    inputs = [x, weights, b.constant(np.zeros(2, np.int32), scales=[0.01])]
    shape = (1, 4, 4, 2)
    b.output(b.op("CONV_2D", inputs, Conv2DOptions(), shape=shape, scale=0.1, zero_point=0))
    return b.graph()


def dense(keep: bool) -> Graph:
    b = GraphBuilder("dense")
    weights = b.constant(np.ones((2, 4), np.int8), scales=[0.1])
    inputs = [b.input((1, 4), 0.1, 0), weights, -1]
    options = FullyConnectedOptions(keep_num_dims=keep)
    b.output(b.op("FULLY_CONNECTED", inputs, options, shape=(1, 2), scale=0.1, zero_point=0))
    return b.graph()


def upsampler() -> Graph:
    b = GraphBuilder("upsampler")
    shape = b.constant(np.array([1, 8, 8, 2], np.int32))
    weights = b.constant(np.ones((2, 2, 2, 4), np.int8), scales=[0.1])
    inputs = [shape, weights, b.input((1, 4, 4, 4), 0.1, 0)]
    options = TransposeConvOptions(stride_w=2, stride_h=2)
    b.output(b.op("TRANSPOSE_CONV", inputs, options, shape=(1, 8, 8, 2), scale=0.1, zero_point=0))
    return b.graph()


@pytest.mark.parametrize(
    ("graph", "found", "needed"),
    [
        (convolution(), 6, "CONV_2D v3"),
        (convolution(), 8, "CONV_2D v3"),
        (upsampler(), 4, "TRANSPOSE_CONV v2"),
        (dense(keep=False), 5, "FULLY_CONNECTED v4"),
        (dense(keep=False), 12, "FULLY_CONNECTED v4"),
        (reshapes((4, 6)), 7, ""),
    ],
)
def test_versions_that_do_not_map_are_lowered(graph: Graph, found: int, needed: str) -> None:
    before = with_versions(graph, found)
    after = rewritten_by("lower_versions", before)
    assert all_map(after)
    assert not all_map(before)
    if needed:
        assert opcodes(after) == [needed]
    runnable = with_versions(graph, 2) if "CONV" in needed else after
    assert_every_common_tensor_is_equal(runnable, after, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("graph", "version"),
    [
        (convolution(), 5),
        (convolution(depth=2), 6),
        (dense(keep=True), 5),
        (dense(keep=False), 9),
        (upsampler(), 3),
    ],
)
def test_versions_that_are_taken_or_needed_stay(graph: Graph, version: int) -> None:
    assert the_pass("lower_versions").run(with_versions(graph, version)) is None


def test_unused_and_doubled_entries_of_the_table_go() -> None:
    graph = with_versions(convolution(), 3)
    used, unused = OperatorCode("CONV_2D", 3), OperatorCode("GELU", 2)
    graph = replace(graph, operator_codes=(unused, used, used))
    assert preflight(graph).refused
    change = the_pass("prune_operator_codes").run(graph)
    assert change is not None
    assert change.graph.operator_codes == (used,)
    assert change.operators == ("GELU v2", "CONV_2D v3")
    assert not preflight(change.graph).refused
    assert the_pass("prune_operator_codes").run(change.graph) is None


def test_an_unused_entry_that_the_compiler_knows_stays() -> None:
    graph = with_versions(convolution(), 3)
    table = (OperatorCode("CONV_2D", 3), OperatorCode("DEQUANTIZE", 2))
    assert the_pass("prune_operator_codes").run(replace(graph, operator_codes=table)) is None

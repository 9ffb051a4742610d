"""What makes the compiler refuse a whole file, and how a graph is split."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, OperatorCode, TensorType
from converters.tflite.options import Conv2DOptions, TransposeConvOptions
from converters.tflite.schema import enum_names
from device_runners.edge_tpu.partition import delegated, descendants, partition
from device_runners.edge_tpu.preflight import preflight
from device_runners.edge_tpu.rules import SUPPORTED_OPS
from device_runners.edge_tpu.versions import LAST_VERSIONS, NEWER_VERSION_FIXES, accepts

INT32 = TensorType.INT32


def upsampler(version: int, activation: Activation = Activation.NONE) -> Graph:
    """RELU, then a transposed convolution of that version, then RELU."""
    b = GraphBuilder("upsampler")
    x = b.input((1, 4, 4, 8), 0.1, 0)
    first = b.op("RELU", [x], None, shape=(1, 4, 4, 8), scale=0.1, zero_point=0)
    shape = b.constant(np.array([1, 8, 8, 4], np.int32))
    weights = b.constant(np.zeros((4, 2, 2, 8), np.int8), scales=[0.1])
    bias = b.constant(np.zeros(4, np.int32), scales=[0.1])
    y = b.op(
        "TRANSPOSE_CONV",
        [shape, weights, first, bias],
        TransposeConvOptions(fused_activation_function=activation),
        shape=(1, 8, 8, 4),
        scale=0.1,
        zero_point=0,
        version=version,
    )
    b.output(b.op("RELU", [y], None, shape=(1, 8, 8, 4), scale=0.1, zero_point=0))
    return b.graph()


# What TF 2.19 writes, and whether the compiler takes it.
@pytest.mark.parametrize(
    ("opcode", "version", "taken"),
    [
        ("TRANSPOSE_CONV", 4, False),
        ("TRANSPOSE_CONV", 3, True),
        ("CONV_2D", 6, False),
        ("CONV_2D", 3, True),
        ("TILE", 3, False),
        ("EXP", 2, False),
        ("LOG", 2, False),
        ("GELU", 2, False),
        ("FULLY_CONNECTED", 5, True),
        ("FULLY_CONNECTED", 4, True),
        ("RESIZE_NEAREST_NEIGHBOR", 3, True),
        ("QUANTIZE", 1, True),
        ("LEAKY_RELU", 2, True),
        ("CUSTOM", 1, True),
        ("STABLEHLO_ADD", 1, False),
    ],
)
def test_versions_that_the_compiler_takes(opcode: str, version: int, taken: bool) -> None:
    assert accepts(opcode, version) is taken


def test_the_versions_name_real_ops_and_all_that_map() -> None:
    assert set(LAST_VERSIONS) <= set(enum_names("BuiltinOperator").values())
    assert set(LAST_VERSIONS) >= SUPPORTED_OPS
    # BROADCAST_ARGS, number 145, is the last op of TF 2.6.
    by_number = enum_names("BuiltinOperator")
    new = {name for number, name in by_number.items() if number > 145}
    assert new.isdisjoint(LAST_VERSIONS)
    others = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}
    old = {name for number, name in by_number.items() if number <= 145}
    assert old - set(LAST_VERSIONS) == others


def test_a_newer_version_refuses_the_whole_file() -> None:
    prediction = preflight(upsampler(4, Activation.RELU))
    (finding,) = prediction.refused
    message = "Didn't find op for builtin opcode 'TRANSPOSE_CONV' version '4'"
    assert message in finding.message
    assert finding.blocking
    assert finding.hint == NEWER_VERSION_FIXES["TRANSPOSE_CONV"]
    assert (prediction.mapped_ops, prediction.operator_table) == (0, ())
    assert prediction.findings.blocking == (finding,)
    assert [op.status for op in prediction.ops] == [message] * 3
    blocker = prediction.first_blocker
    assert blocker is not None
    assert (blocker.index, blocker.op, blocker.stranded) == (1, "TRANSPOSE_CONV", (0, 2))
    assert (blocker.after_fix.ops, blocker.after_fix.macs) == (1, 1)


def test_the_blame_is_on_the_grouped_convolution() -> None:
    """All convolutions of the file have its version, since the converter writes one."""
    b = GraphBuilder("grouped")
    x = b.input((1, 4, 4, 8), 0.1, 0)
    for depth in (8, 4, 8):
        weights = b.constant(np.zeros((8, 1, 1, depth), np.int8), scales=[0.1])
        inputs = [x, weights]
        shape = (1, 4, 4, 8)
        x = b.op(
            "CONV_2D", inputs, Conv2DOptions(), shape=shape, scale=0.1, zero_point=0, version=6
        )
    b.output(x)
    prediction = preflight(b.graph())
    assert "because of 1, the first is operator 1" in prediction.refused[0].message
    assert prediction.first_blocker is not None
    assert prediction.first_blocker.index == 1
    assert "grouped" in prediction.first_blocker.fix
    assert prediction.ops[0].fix != prediction.first_blocker.fix
    assert prediction.first_blocker.after_fix.ops == 1


def test_a_new_version_that_no_operator_needs_is_still_refused() -> None:
    prediction = preflight(upsampler(4))
    assert prediction.refused
    assert prediction.first_blocker is not None
    assert prediction.first_blocker.op == "TRANSPOSE_CONV"


def test_the_older_version_maps() -> None:
    prediction = preflight(upsampler(3))
    assert not prediction.refused
    assert prediction.mapped_ops == prediction.total_ops == 3


def test_an_op_that_the_compiler_does_not_know() -> None:
    graph = upsampler(3)
    gelu = replace(graph.operators[0], opcode="GELU", version=2)
    prediction = preflight(replace(graph, operators=(gelu, *graph.operators[1:])))
    assert prediction.ops[0].status == "Op builtin_code out of range"
    assert "sigmoid(1.702 * x)" in prediction.ops[0].fix


def test_an_unused_entry_of_the_operator_table_refuses_the_file_too() -> None:
    graph = replace(upsampler(3), operator_codes=(OperatorCode("GELU", 2),))
    prediction = preflight(graph)
    assert "no operator uses it" in prediction.refused[0].message
    assert (prediction.first_blocker, prediction.mapped_ops) == (None, 0)


def test_a_tensorflow_op_refuses_the_file() -> None:
    graph = upsampler(3)
    flex = replace(graph.operators[2], opcode="CUSTOM", custom_code="FlexSplitV", options=None)
    prediction = preflight(replace(graph, operators=(*graph.operators[:2], flex)))
    assert "FlexSplitV" in prediction.refused[0].message
    assert prediction.first_blocker is not None
    assert prediction.first_blocker.index == 2


def dynamic_flatten() -> Graph:
    """What the converter makes of Flatten when the batch is None."""
    b = GraphBuilder("flatten")
    x = b.input((1, 4, 4, 8), 0.1, 0)
    shape = b.op("SHAPE", [x], None, shape=(4,), scale=1, zero_point=0, type=INT32)
    bounds = [b.constant(np.array([i], np.int32)) for i in (0, 1, 1)]
    batch = b.op(
        "STRIDED_SLICE", [shape, *bounds], None, shape=(), scale=1, zero_point=0, type=INT32
    )
    rest = b.constant(np.array(128, np.int32))
    both = b.op("PACK", [batch, rest], None, shape=(2,), scale=1, zero_point=0, type=INT32)
    b.output(b.op("RESHAPE", [x, both], None, shape=(1, 128), scale=0.1, zero_point=0))
    return b.graph()


def test_a_computed_shape_refuses_the_file() -> None:
    prediction = preflight(dynamic_flatten())
    assert "RESHAPE (operator 3)" in prediction.refused[0].message
    assert "batch fixed at 1" in prediction.refused[0].hint
    assert all("static-sized" in op.status for op in prediction.ops)
    assert prediction.first_blocker is not None
    assert (prediction.first_blocker.op, prediction.first_blocker.index) == ("SHAPE", 0)
    assert prediction.first_blocker.after_fix.ops == 1


def test_arithmetic_on_integers_that_gives_no_shape_does_not_refuse_the_file() -> None:
    graph = dynamic_flatten()
    prediction = preflight(replace(graph, operators=graph.operators[:3]))
    assert [finding.message for finding in prediction.refused] == [
        "the model is not fully quantized: no operator has 8-bit activations, they are INT32, INT8"
    ]


def test_a_model_with_several_subgraphs_is_refused() -> None:
    prediction = preflight(replace(upsampler(3), subgraphs=2))
    assert "2 subgraphs" in prediction.refused[0].message
    assert prediction.mapped_ops == 0


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, frozenset[int]]:
    """Random graphs of up to 12 operators, and which of them are supported."""
    b = GraphBuilder("random")
    tensors = [b.input((1, 4), 0.1, 0)]
    count = draw(st.integers(1, 12))
    for _ in range(count):
        inputs = draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=3))
        tensors.append(b.op("ADD", inputs, None, shape=(1, 4), scale=0.1, zero_point=0))
    return b.graph(), draw(st.frozensets(st.integers(0, count - 1)))


@given(graphs())
def test_parts_hold_every_operator_once_and_run_one_after_the_other(
    case: tuple[Graph, frozenset[int]],
) -> None:
    graph, supported = case
    parts = partition(graph, supported)
    assert sorted(i for part in parts for i in part.operators) == list(range(len(graph.operators)))
    place = {i: number for number, part in enumerate(parts) for i in part.operators}
    for op in graph.operators:
        assert (op.index in supported) is parts[place[op.index]].supported
        sources = [graph.producer(tensor) for tensor in op.inputs]
        earlier = [place[source.index] for source in sources if source is not None]
        assert max(earlier, default=0) <= place[op.index]
        # Taken as early as its inputs allow: in the first part of its kind from then on.
        from_then_on = range(max(earlier, default=0), place[op.index])
        assert all(parts[n].supported is not parts[place[op.index]].supported for n in from_then_on)
    assert all(a.supported is not b.supported for a, b in pairwise(parts))


@given(graphs())
def test_the_delegated_part_needs_nothing_from_behind_it(
    case: tuple[Graph, frozenset[int]],
) -> None:
    graph, supported = case
    part = delegated(partition(graph, supported))
    if part is None:
        assert not supported
        return
    inside = set(part.operators)
    for op in graph.operators:
        if op.index not in inside and descendants(graph, op) & inside:
            # It comes before the part: none of the part's operators leads to it.
            assert all(op.index not in descendants(graph, graph.operators[i]) for i in inside)

"""What is known ahead of time becomes a constant, and every tensor keeps its values."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.graphs import IMAGE_OPS, OPS, RandomGraph, add, mul, random_inputs
from support.host_equality import assert_every_tensor_equals_reference
from support.models import int8_model

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, TensorType
from converters.tflite.options import (
    AddOptions,
    OtherOptions,
    PackOptions,
    ReshapeOptions,
    StridedSliceOptions,
)
from device_runners.cgen import build, check, full_trace
from device_runners.cgen.passes import run_passes
from device_runners.cgen.program import Program

_ALL = np.arange(-128, 128).astype(np.int8).reshape(1, 256)


def random_graph(seed: int, attempt: int) -> Graph:
    """Operators on an input and on a constant of its shape, which meet now and then."""
    rng = np.random.default_rng([17, seed, attempt])
    g = RandomGraph(rng)
    x = g.source()
    constant = g.constant(x.shape, g.scale(), g.zero_point())
    g.values.append(constant)
    for _ in range(g.between(3, 7)):
        value = g.pick(g.values)
        ops = IMAGE_OPS if len(value.shape) == 4 and g.chance(0.5) else (*OPS, add, mul)
        g.pick(ops)(g, value)
    graph = g.graph()
    return replace(graph, outputs=tuple(t for t in graph.outputs if t != constant.index))


def random_folded_graph(seed: int) -> Graph:
    """One with an operator that is folded."""
    graphs = (random_graph(seed, attempt) for attempt in itertools.count())
    usable = (graph for graph in graphs if graph.outputs and not check(graph).blocking)
    return next(graph for graph in usable if run_passes(Program(graph)).folded)


def _assert_equal(seed: int, folder: Path) -> None:
    graph = random_folded_graph(seed)
    rng = np.random.default_rng(seed)
    samples = [random_inputs(rng, graph) for _ in range(2)]
    figures = assert_every_tensor_equals_reference(graph, samples, folder).figures
    assert figures["folded"]
    assert len(figures["layers"]) + len(figures["dropped"]) < len(graph.operators)


@pytest.mark.parametrize("seed", range(6))
def test_every_tensor_keeps_its_values(seed: int, tmp_path: Path) -> None:
    _assert_equal(seed, tmp_path)


@pytest.mark.slow
def test_every_tensor_of_many_graphs_keeps_its_values(tmp_path: Path) -> None:
    for seed in range(100, 160):
        _assert_equal(seed, tmp_path / str(seed))


# ---- Single cases -----------------------------------------------------------------------------


def _table_of_a_constant(*, output: bool = False) -> Graph:
    """LOGISTIC of a constant, added to the input."""
    b = GraphBuilder("constant")
    x = b.input((1, 256), 0.05, 3)
    c = b.constant(_ALL, scales=[0.03], zero_points=[7])
    y = b.op("LOGISTIC", [c], None, shape=(1, 256), scale=1 / 256, zero_point=-128)
    z = b.op("ADD", [x, y], AddOptions(), shape=(1, 256), scale=0.05, zero_point=0, version=2)
    b.output(z)
    if output:
        b.output(y)
    return b.graph()


def test_an_operator_of_constants_goes_and_says_what_it_saved(tmp_path: Path) -> None:
    graph = _table_of_a_constant()
    artifacts = assert_every_tensor_equals_reference(graph, [[_ALL], [_ALL[:, ::-1]]], tmp_path)
    assert [layer["opcode"] for layer in artifacts.figures["layers"]] == ["ADD"]
    (fold,) = artifacts.figures["passes"]
    assert (fold["name"], fold["operators"]) == ("fold_constants", 1)
    assert fold["text"] == "LOGISTIC of 256 elements was computed ahead of time"
    assert (fold["arena_bytes"], fold["weights_bytes"]) == (256, 256)  # the result, the table


def test_outputs_of_the_graph_stay_computed(tmp_path: Path) -> None:
    graph = _table_of_a_constant(output=True)
    assert not run_passes(Program(graph)).folded
    assert_every_tensor_equals_reference(graph, [[_ALL]], tmp_path)


def test_what_would_grow_is_computed_at_run_time(tmp_path: Path) -> None:
    b = GraphBuilder("grows")
    x = b.input((8, 32), 0.05, 3)
    c = b.constant(_ALL[:, :32], scales=[0.05], zero_points=[3])
    times = b.constant(np.array([8, 1], np.int32))
    y = b.op("TILE", [c, times], None, shape=(8, 32), scale=0.05, zero_point=3, version=3)
    z = b.op("ADD", [x, y], AddOptions(), shape=(8, 32), scale=0.1, zero_point=0, version=2)
    b.output(z)
    graph = b.graph()
    assert not run_passes(Program(graph)).folded
    assert_every_tensor_equals_reference(graph, [[_ALL.reshape(8, 32)]], tmp_path)


def _shape_at_run_time() -> Graph:
    """The batch of the input, packed into the shape of a RESHAPE: ops that no kernel is for."""
    b = GraphBuilder("shape")
    x = b.input((3, 4, 8), 0.05, 3)
    shape = b.tensor((3,), TensorType.INT32)
    b.operator("SHAPE", [x], OtherOptions("ShapeOptions", (("outType", 2),)), [shape])
    bounds = [b.constant(np.array([value], np.int32)) for value in (0, 1, 1)]
    batch = b.tensor((), TensorType.INT32)
    options = StridedSliceOptions(shrink_axis_mask=1)
    b.operator("STRIDED_SLICE", [shape, *bounds], options, [batch])
    rest = b.constant(np.array(32, np.int32))
    target = b.tensor((2,), TensorType.INT32)
    b.operator("PACK", [batch, rest], PackOptions(2, 0), [target])
    y = b.op("RESHAPE", [x, target], ReshapeOptions(), shape=(3, 32), scale=0.05, zero_point=3)
    b.output(b.op("RELU", [y], None, shape=(3, 32), scale=0.05, zero_point=3))
    return b.graph()


def test_shapes_are_known_ahead_of_time(tmp_path: Path) -> None:
    graph = _shape_at_run_time()
    sample = np.arange(-48, 48).astype(np.int8).reshape(3, 4, 8)
    artifacts = assert_every_tensor_equals_reference(graph, [[sample]], tmp_path)
    assert [layer["opcode"] for layer in artifacts.figures["layers"]] == ["RESHAPE", "RELU"]


def test_a_finding_behind_what_was_folded_names_the_operator_of_the_file() -> None:
    graph = _shape_at_run_time()
    last = graph.operators[-1]
    operators = (*graph.operators[:-1], replace(last, opcode="COS"))
    (finding,) = check(replace(graph, operators=operators)).blocking
    assert finding.operator == last.index
    assert "operator 4 COS" in finding.message


def test_an_op_whose_results_depend_on_more_than_its_inputs_is_not_folded() -> None:
    b = GraphBuilder("random")
    x = b.input((1, 4), 0.05, 3)
    shape = b.constant(np.array([1, 4], np.int32))
    noise = b.op("RANDOM_UNIFORM", [shape], None, shape=(1, 4), scale=0.05, zero_point=3)
    b.output(b.op("ADD", [x, noise], AddOptions(), shape=(1, 4), scale=0.1, zero_point=0))
    (finding,) = check(b.graph()).blocking
    assert "RANDOM_UNIFORM" in finding.message


def test_what_the_interpreter_refuses_is_named_by_the_check() -> None:
    b = GraphBuilder("refused")
    x = b.input((1, 4), 0.05, 3)
    c = b.constant(np.zeros((1, 4), np.int8), scales=[0.1])
    y = b.op("LOGISTIC", [c], None, shape=(1, 4), scale=0.1, zero_point=0)  # not 1/256
    b.output(b.op("ADD", [x, y], AddOptions(), shape=(1, 4), scale=0.1, zero_point=0, version=2))
    assert check(b.graph()).blocking[0].opcode == "LOGISTIC"


def test_a_trace_of_bytes_is_made_whole() -> None:
    graph = _table_of_a_constant()
    x, y = graph.inputs[0], graph.operators[0].outputs[0]
    whole = full_trace(graph, {(0, x): _ALL.tobytes(), (1, x): _ALL.tobytes()})
    value = np.frombuffer(whole[1, y], np.int8)
    assert whole[0, y] == whole[1, y]
    assert (value.min(), value.max()) == (-124, 121)  # the logistic of -4.05 and 3.6


def test_the_generated_header_says_what_was_folded(tmp_path: Path) -> None:
    artifacts = build(int8_model(_table_of_a_constant()), tmp_path / "aot")
    header = (artifacts.directory / "constant.h").read_text()
    assert "LOGISTIC of 256 elements was computed ahead of time" in header

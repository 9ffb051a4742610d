"""Ops that the reference kernels lack or get wrong, against plain arithmetic and against TFLM."""

from __future__ import annotations

import numpy as np

from converters.tflite import write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from converters.tflite.options import DepthToSpaceOptions, ReducerOptions
from device_runners.host.micro import run_micro
from device_runners.host.oracle import Oracle
from device_runners.host.stand_ins import needs_stand_ins, with_stand_ins

ALL_INT8 = np.arange(-128, 128).astype(np.int8)


def one_op(opcode: str, scale: float, zero_point: int) -> Graph:
    """The op between two changes of scale by 1, so that its tensors are inside."""
    b = GraphBuilder("one")
    x = b.input((256,), 0.05, -9)
    y = b.op("QUANTIZE", [x], None, shape=(256,), scale=0.05, zero_point=-9)
    z = b.op(opcode, [y], None, shape=(256,), scale=scale, zero_point=zero_point)
    b.output(b.op("QUANTIZE", [z], None, shape=(256,), scale=scale, zero_point=zero_point))
    return b.graph()


def summing(version: int) -> Graph:
    b = GraphBuilder("sum")
    x = b.input((16, 4), 0.05, -9)
    axes = b.constant(np.array([1], np.int32))
    options = ReducerOptions(keep_dims=False)
    b.output(b.op("SUM", [x, axes], options, shape=(16,), scale=0.2, zero_point=7, version=version))
    return b.graph()


def test_elu_equals_the_function_and_tflm() -> None:
    graph = one_op("ELU", 0.04, 3)
    content = write_graph(graph)
    oracle = Oracle(content, all_tensors=True)
    (output,) = oracle.run([ALL_INT8])
    real = 0.05 * (ALL_INT8.astype(np.float64) + 9)
    expected = np.where(real < 0, np.expm1(real), real) / 0.04 + 3
    np.testing.assert_allclose(output, np.clip(expected, -128, 127), atol=0.51)
    np.testing.assert_array_equal(output, run_micro(content, graph, [[ALL_INT8]]).outputs[0][0])
    # The tensors of the file keep their indices and values.
    np.testing.assert_array_equal(oracle.tensor(1), ALL_INT8)
    np.testing.assert_array_equal(oracle.tensor(2), output)


def test_sum_equals_the_sum_and_tflm() -> None:
    graph = summing(2)
    content = write_graph(graph)
    sample = np.random.default_rng(0).integers(-128, 128, (16, 4)).astype(np.int8)
    (output,) = Oracle(content).run([sample])
    expected = (sample.astype(np.int64) + 9).sum(axis=1) * 0.05 / 0.2 + 7
    np.testing.assert_allclose(output, np.clip(expected, -128, 127), atol=1)
    np.testing.assert_array_equal(output, run_micro(content, graph, [[sample]]).outputs[0][0])


def test_versions_that_are_not_registered_run() -> None:
    b = GraphBuilder("version")
    x = b.input((1, 1, 1, 4), 0.1, 0)
    options = DepthToSpaceOptions(2)
    y = b.op("DEPTH_TO_SPACE", [x], options, shape=(1, 2, 2, 1), scale=0.1, zero_point=0, version=2)
    b.output(y)
    sample = np.arange(4, dtype=np.int8).reshape(1, 1, 1, 4)
    (output,) = Oracle(write_graph(b.graph())).run([sample])
    assert output.ravel().tolist() == [0, 1, 2, 3]


def test_other_graphs_are_left_alone() -> None:
    assert needs_stand_ins(one_op("ELU", 0.04, 3))
    assert needs_stand_ins(summing(1))
    graph = one_op("TANH", 1 / 128, 0)
    assert not needs_stand_ins(graph)
    same = with_stand_ins(graph)
    assert (same.tensors, same.operators) == (graph.tensors, graph.operators)

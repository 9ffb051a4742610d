"""The comparison names the first tensor that differs."""

from __future__ import annotations

import numpy as np

from converters.progress import no_progress
from converters.tflite import Graph, write_graph
from converters.tflite.builder import GraphBuilder
from device_runners.host.oracle import Oracle
from pipeline.comparison import compare_outputs, compare_tensors, reference_outputs
from pipeline.fixed_input import fixed_samples


def two_relus() -> Graph:
    builder = GraphBuilder()
    x = builder.input((1, 8), 0.5, 0)
    y = builder.op("RELU", [x], None, shape=(1, 8), scale=0.5, zero_point=0)
    z = builder.op("RELU6", [y], None, shape=(1, 8), scale=0.5, zero_point=0)
    builder.output(z)
    return builder.graph()


def test_equal_outputs_are_no_mismatch() -> None:
    graph = two_relus()
    samples = fixed_samples(graph, 3)
    expected = reference_outputs(write_graph(graph), samples, no_progress)
    assert compare_outputs(graph, expected, expected) is None


def test_one_wrong_element_is_named() -> None:
    graph = two_relus()
    expected = [[np.zeros((1, 8), np.int8)], [np.zeros((1, 8), np.int8)]]
    actual = [[np.zeros((1, 8), np.int8)], [np.zeros((1, 8), np.int8)]]
    actual[1][0][0, 5] = -128
    mismatch = compare_outputs(graph, expected, actual)
    assert mismatch is not None
    assert (mismatch.sample, mismatch.tensor, mismatch.opcode) == (1, 2, "RELU6")
    assert (mismatch.differing_elements, mismatch.worst_difference) == (1, 128)


def test_first_wrong_tensor_in_execution_order_is_named() -> None:
    graph = two_relus()
    model = write_graph(graph)
    samples = fixed_samples(graph, 1)
    oracle = Oracle(model, all_tensors=True)
    oracle.run(samples[0])
    trace = {(0, index): oracle.tensor(index).tobytes() for index in (1, 2)}
    assert compare_tensors(model, graph, samples, trace, no_progress) is None
    wrong = {**trace, (0, 1): b"\x7f" * 8, (0, 2): b"\x7f" * 8}
    mismatch = compare_tensors(model, graph, samples, wrong, no_progress)
    assert mismatch is not None and (mismatch.tensor, mismatch.opcode) == (1, "RELU")


def test_tensor_missing_in_the_trace_differs_everywhere() -> None:
    graph = two_relus()
    model, samples = write_graph(graph), fixed_samples(graph, 1)
    mismatch = compare_tensors(model, graph, samples, {}, no_progress)
    assert mismatch is not None and mismatch.differing_elements == mismatch.total_elements == 8

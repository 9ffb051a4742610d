"""The oracle: LiteRT's reference kernels, and every tensor of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.errors import TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.options import AddOptions
from converters.tflite.reader import read_graph
from converters.tflite.writer import write_graph
from device_runners.host.oracle import Oracle


def add_model() -> bytes:
    b = GraphBuilder("add")
    x = b.input((1, 4), scale=0.5, zero_point=0)
    y = b.input((1, 4), scale=0.5, zero_point=0)
    middle = b.op("ADD", [x, y], AddOptions(), shape=(1, 4), scale=0.5, zero_point=0)
    b.output(b.op("RELU", [middle], None, shape=(1, 4), scale=0.5, zero_point=0))
    return write_graph(b.graph())


X = np.array([[1, -2, 100, -100]], np.int8)
Y = np.array([[3, -4, 100, 100]], np.int8)


def test_computes_by_the_definition_of_the_ops() -> None:
    (result,) = Oracle(add_model()).run([X, Y])
    np.testing.assert_array_equal(result, [[4, 0, 127, 0]])
    assert result.dtype == np.int8


def test_keeps_every_tensor_when_asked() -> None:
    oracle = Oracle(add_model(), all_tensors=True)
    oracle.run([X, Y])
    np.testing.assert_array_equal(oracle.tensor(2), [[4, -6, 127, 0]])


def test_tensors_are_refused_when_they_were_not_kept() -> None:
    oracle = Oracle(add_model())
    oracle.run([X, Y])
    with pytest.raises(ValueError, match="all_tensors"):
        oracle.tensor(2)


def test_results_survive_the_next_run() -> None:
    oracle = Oracle(add_model())
    first = oracle.run([X, Y])
    kept = first[0].copy()
    oracle.run([Y, Y])
    np.testing.assert_array_equal(first[0], kept)


def test_keeping_tensors_changes_no_result(mlperf_tiny_model: Path) -> None:
    graph = read_graph(mlperf_tiny_model)
    rng = np.random.default_rng(3)
    sample = [rng.integers(-128, 128, t.shape, np.int8) for t in graph.input_tensors]
    kept = Oracle(mlperf_tiny_model, all_tensors=True)
    outputs = kept.run(sample)
    np.testing.assert_array_equal(outputs, Oracle(mlperf_tiny_model).run(sample))
    np.testing.assert_array_equal(kept.tensor(graph.outputs[0]), outputs[0])


def test_refused_model_is_one_clear_error() -> None:
    with pytest.raises(TidepoolError, match="corrupt"):
        Oracle(b"\x1c\x00\x00\x00TFL3" + bytes(64))
    b = GraphBuilder("odd")
    x = b.input((1, 4), scale=0.5, zero_point=0)
    b.output(b.op("SIN", [x], None, shape=(1, 4), scale=0.5, zero_point=0))
    with pytest.raises(TidepoolError, match="refuses the model"):
        Oracle(write_graph(b.graph()))

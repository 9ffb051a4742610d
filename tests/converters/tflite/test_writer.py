"""The graph writer: nothing is lost on the way out and back, and every runtime accepts it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.recurrent_layers import lstm_graph

from converters.errors import TidepoolError
from converters.tflite import Graph, read_graph, write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.options import OtherOptions
from device_runners.host.oracle import Oracle

FIELDS = ("index", "name", "shape", "shape_signature", "type", "quantization", "is_variable")


def assert_same_graph(a: Graph, b: Graph) -> None:
    assert (a.name, a.inputs, a.outputs, a.operators) == (b.name, b.inputs, b.outputs, b.operators)
    for ours, theirs in zip(a.tensors, b.tensors, strict=True):
        for field in FIELDS:
            assert getattr(ours, field) == getattr(theirs, field), field
        if ours.data is None or theirs.data is None:
            assert ours.data is theirs.data
        else:
            assert ours.data.tobytes() == theirs.data.tobytes()


def test_real_models_survive_the_round_trip(mlperf_tiny_model: Path) -> None:
    graph = read_graph(mlperf_tiny_model)
    assert_same_graph(graph, read_graph(write_graph(graph)))


def test_compiler_inputs_and_outputs_survive_the_round_trip(edge_tpu_pairs: Path) -> None:
    for path in sorted(edge_tpu_pairs.glob("*.tflite")):
        graph = read_graph(path)
        assert_same_graph(graph, read_graph(write_graph(graph)))


def test_rewritten_model_computes_the_same(mlperf_tiny: Path) -> None:
    path = mlperf_tiny / "kws_dscnn_int8.tflite"
    sample = np.random.default_rng(0).integers(-128, 128, (1, 49, 10, 1), np.int8)
    original, rewritten = Oracle(path), Oracle(write_graph(read_graph(path)))
    assert np.array_equal(original.run([sample])[0], rewritten.run([sample])[0])


def test_same_graph_gives_same_bytes(mlperf_tiny: Path) -> None:
    graph = read_graph(mlperf_tiny / "ad01_int8.tflite")
    assert write_graph(graph) == write_graph(graph)


def test_constants_are_aligned_to_16_bytes(mlperf_tiny: Path) -> None:
    """Runtimes read weights in place, so their alignment in the file is what they get."""
    graph = read_graph(mlperf_tiny / "kws_dscnn_int8.tflite")
    content = write_graph(graph)
    weights = [t.data for t in graph.tensors if t.data is not None and t.data.nbytes > 64]
    assert weights
    for data in weights:
        assert content.index(data.tobytes()) % 16 == 0


def test_unused_operator_codes_vanish(mlperf_tiny: Path) -> None:
    graph = read_graph(mlperf_tiny / "ad01_int8.tflite")
    unused = dataclasses.replace(graph.operator_codes[0], opcode="DEQUANTIZE")
    graph = dataclasses.replace(graph, operator_codes=(*graph.operator_codes, unused))
    codes = read_graph(write_graph(graph)).operator_codes
    assert [code.opcode for code in codes] == ["FULLY_CONNECTED"]


def test_several_subgraphs_are_refused() -> None:
    graph = dataclasses.replace(GraphBuilder().graph(), subgraphs=2)
    with pytest.raises(TidepoolError, match="2 subgraphs"):
        write_graph(graph)


def test_options_outside_the_schema_are_refused() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4), 0.5, 0)
    options = OtherOptions("NoSuchOptions")
    builder.output(builder.op("RELU", [x], options, shape=(1, 4), scale=0.5, zero_point=0))
    with pytest.raises(TidepoolError, match="options of operator 0"):
        write_graph(builder.graph())


def test_states_and_the_scales_inside_of_an_operator_survive_the_round_trip() -> None:
    built = lstm_graph(0)
    graph = read_graph(write_graph(built))
    assert graph.operators == built.operators
    assert len(graph.operators[0].intermediates) == 5
    assert [t.is_variable for t in graph.tensors] == [t.is_variable for t in built.tensors]
    assert_same_graph(graph, read_graph(write_graph(graph)))

"""TFLM on this machine: its results against the oracle, its arena report, its refusals."""

from __future__ import annotations

import dataclasses
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from support.recurrent_layers import svdf_graph

from converters.errors import TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Array, Graph, Operator, TensorType
from converters.tflite.options import FullyConnectedOptions
from converters.tflite.reader import read_graph
from converters.tflite.writer import write_graph
from device_runners.host import micro
from device_runners.host.micro import run_micro
from device_runners.host.oracle import Oracle
from pipeline.fixed_input import fixed_samples


def relu_graph(opcode: str = "RELU") -> Graph:
    b = GraphBuilder("small")
    x = b.input((1, 4), scale=0.1, zero_point=3)
    b.output(b.op(opcode, [x], None, shape=(1, 4), scale=0.1, zero_point=3))
    return b.graph()


def random_inputs(graph: Graph, count: int) -> list[list[Array]]:
    rng = np.random.default_rng(7)
    shapes = [tensor.shape for tensor in graph.input_tensors]
    return [[rng.integers(-128, 128, s, np.int8) for s in shapes] for _ in range(count)]


def with_all_outputs(graph: Graph) -> Graph:
    return dataclasses.replace(graph, outputs=tuple(op.outputs[0] for op in graph.operators))


def test_every_tensor_equals_the_reference(mlperf_tiny_model: Path) -> None:
    graph = with_all_outputs(read_graph(mlperf_tiny_model))
    model = write_graph(graph)
    samples = random_inputs(graph, 10)
    oracle = Oracle(model)
    for sample, outputs in zip(samples, run_micro(model, graph, samples).outputs, strict=True):
        for op, ours, theirs in zip(graph.operators, outputs, oracle.run(sample), strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=str(op))


def test_outputs_of_the_recorded_input(mlperf_tiny_model: Path) -> None:
    baseline = json.loads((mlperf_tiny_model.parent / "tflm_baseline.json").read_text())
    (key,) = (k for k, name in baseline["models"].items() if name == mlperf_tiny_model.name)
    graph = read_graph(mlperf_tiny_model)
    samples = fixed_samples(graph, 1)
    (outputs,) = run_micro(mlperf_tiny_model.read_bytes(), graph, samples).outputs
    assert f"{zlib.crc32(outputs[0].tobytes()):08x}" == baseline["output_crc32"][key]


def test_keyword_spotting_inputs_give_the_oracles_outputs(mlperf_tiny: Path) -> None:
    path = mlperf_tiny / "kws_dscnn_int8.tflite"
    recorded = np.load(mlperf_tiny / "kws_inputs.npz")
    samples = [[x[None]] for x in recorded["x"]]
    result = run_micro(path.read_bytes(), read_graph(path), iter(samples))
    oracle = Oracle(path)
    np.testing.assert_array_equal(result.outputs, [oracle.run(sample) for sample in samples])
    classes = np.array([outputs[0].argmax() for outputs in result.outputs])
    assert np.mean(classes == recorded["y"]) == 0.904


def test_several_samples_are_independent_of_each_other() -> None:
    graph = relu_graph()
    samples = random_inputs(graph, 5)
    together = run_micro(write_graph(graph), graph, samples).outputs
    alone = [run_micro(write_graph(graph), graph, [sample]).outputs[0] for sample in samples]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, np.maximum(samples, 3))


def test_arena_is_measured_without_samples_and_is_the_same_every_time(mlperf_tiny: Path) -> None:
    path = mlperf_tiny / "ic_resnet8_int8.tflite"
    graph, model = read_graph(path), path.read_bytes()
    first = run_micro(model, graph, [])
    assert first.outputs == []
    assert run_micro(model, graph, random_inputs(graph, 2)).arena_bytes == first.arena_bytes
    # Between the largest set of live tensors and upstream's figure for 32-bit pointers plus a bit.
    assert 49_152 < first.arena_bytes < 60_000


def test_arena_grows_until_the_model_fits(
    mlperf_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mlperf_tiny / "kws_dscnn_int8.tflite"
    graph, model = read_graph(path), path.read_bytes()
    expected = run_micro(model, graph, []).arena_bytes
    monkeypatch.setattr(micro, "_first_arena", lambda model, graph: 1024)
    assert run_micro(model, graph, []).arena_bytes == expected


def test_missing_op_is_named_in_tflms_words() -> None:
    graph = relu_graph("GELU")
    with pytest.raises(TidepoolError, match="Didn't find op for builtin opcode 'GELU'"):
        run_micro(write_graph(graph), graph, [])


def test_hybrid_model_is_refused_in_tflms_words() -> None:
    b = GraphBuilder("hybrid")
    x = b.tensor((1, 4), TensorType.FLOAT32)
    w = b.constant(np.ones((3, 4), np.int8), scales=[0.1])
    y = b.tensor((1, 3), TensorType.FLOAT32)
    built = b.graph()
    dense = Operator(0, "FULLY_CONNECTED", 1, FullyConnectedOptions(), (x, w, -1), (y,))
    graph = dataclasses.replace(built, operators=(dense,), inputs=(x,), outputs=(y,))
    with pytest.raises(TidepoolError, match="FLOAT32 with filter type: INT8 not supported"):
        run_micro(write_graph(graph), graph, [])


def test_crash_of_tflm_is_an_error(mlperf_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mlperf_tiny / "kws_dscnn_int8.tflite"
    # An arena this small makes TFLM write through a null pointer.
    monkeypatch.setattr(micro, "_first_arena", lambda model, graph: 9000)
    monkeypatch.setattr(micro, "_LARGEST_ARENA", 9000)
    with pytest.raises(TidepoolError, match=r"Failed to .*; killed by SIGSEGV"):
        run_micro(path.read_bytes(), read_graph(path), [])


def test_file_that_is_no_model_is_an_error() -> None:
    with pytest.raises(TidepoolError, match="TensorFlow Lite Micro refuses the model"):
        run_micro(b"\xf0\xff\xff\x7fTFL3", relu_graph(), [])


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ([np.zeros((1, 4), np.uint8)], "uint8"),
        ([np.zeros((1, 5), np.int8)], r"\[1, 5\]"),
        ([], "0 arrays"),
    ],
)
def test_sample_that_does_not_fit_is_refused(sample: list[Array], message: str) -> None:
    graph = relu_graph()
    with pytest.raises(TidepoolError, match=message):
        run_micro(write_graph(graph), graph, [sample])


def test_each_sample_starts_from_the_reset_state() -> None:
    graph = svdf_graph(8)
    model = write_graph(graph)
    samples = random_inputs(graph, 4)
    oracle = Oracle(model)
    for sample, outputs in zip(samples, run_micro(model, graph, samples).outputs, strict=True):
        np.testing.assert_array_equal(outputs[0], oracle.run(sample)[0])

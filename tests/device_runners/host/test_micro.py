"""TFLM on this machine: its results against the oracle, its arena report, its refusals."""

from __future__ import annotations

import dataclasses
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest

from converters.errors import TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Array, Graph, Operator, TensorType
from converters.tflite.options import FullyConnectedOptions
from converters.tflite.reader import read_graph
from converters.tflite.writer import write_graph
from device_runners.host import micro
from device_runners.host.micro import run_micro
from device_runners.host.oracle import Oracle


def relu_graph(opcode: str = "RELU") -> Graph:
    b = GraphBuilder("small")
    x = b.input((1, 4), scale=0.1, zero_point=3)
    b.output(b.op(opcode, [x], None, shape=(1, 4), scale=0.1, zero_point=3))
    return b.graph()


def random_inputs(graph: Graph, count: int) -> list[list[Array]]:
    rng = np.random.default_rng(7)
    shapes = [tensor.shape for tensor in graph.input_tensors]
    return [[rng.integers(-128, 128, s, np.int8) for s in shapes] for _ in range(count)]


def recorded_input(shape: tuple[int, ...]) -> Array:
    """The bytes that the baseline was measured on: xorshift32, seed 0x12345678."""
    state, values = 0x12345678, []
    for _ in range(math.prod(shape)):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        values.append(state >> 24)
    return np.array(values, np.uint8).view(np.int8).reshape(shape)


def with_all_outputs(graph: Graph) -> Graph:
    return dataclasses.replace(graph, outputs=tuple(op.outputs[0] for op in graph.operators))


def quantized_multiplier(real: float) -> tuple[int, int]:
    fraction, exponent = math.frexp(real)
    multiplier = round(fraction * (1 << 31))
    return (multiplier // 2, exponent + 1) if multiplier == 1 << 31 else (multiplier, exponent)


def rounding_doubling_multiply(values: Array, multiplier: int) -> Array:
    """gemmlowp's SaturatingRoundingDoublingHighMul: half away from zero."""
    product = values * multiplier
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high: Array = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))
    return high


def rounding_shift(values: Array, exponent: int) -> Array:
    """gemmlowp's RoundingDivideByPOT: half away from zero."""
    remainder = values & ((1 << exponent) - 1)
    threshold = (((1 << exponent) - 1) >> 1) + (values < 0)
    shifted: Array = (values >> exponent) + (remainder > threshold)
    return shifted


def integer_dense(graph: Graph, operator: Operator, x: Array) -> Array:
    """FULLY_CONNECTED as TFLM's reference kernel computes it: integers, rounded twice."""
    source, weights, bias = graph.inputs_of(operator)
    output = graph.outputs_of(operator)[0]
    assert source is not None and weights is not None and bias is not None
    assert weights.data is not None and bias.data is not None
    flat = x.reshape(-1, weights.shape[1]).astype(np.int64) - source.zero_point
    accumulated = flat @ weights.data.astype(np.int64).T + bias.data
    product = np.float32(source.scale) * np.float32(weights.scale)
    multiplier, shift = quantized_multiplier(float(product) / output.scale)
    high = rounding_doubling_multiply(accumulated << max(shift, 0), multiplier)
    result = rounding_shift(high, max(-shift, 0)) + output.zero_point
    relu = operator.options.fused_activation_function is Activation.RELU  # type: ignore[union-attr]
    lowest = output.zero_point if relu else -128
    return np.clip(result, lowest, 127).astype(np.int8).reshape(output.shape)


def test_every_tensor_equals_the_reference(mlperf_tiny_model: Path) -> None:
    """Each op on TFLM's own inputs: FULLY_CONNECTED by its formula, the others by the oracle.

    LiteRT requantizes FULLY_CONNECTED in floating point since 1.3, TFLM in integers, so that the
    two differ by one there; whatever follows is compared where its inputs still agree.
    """
    graph = with_all_outputs(read_graph(mlperf_tiny_model))
    model = write_graph(graph)
    samples = random_inputs(graph, 4)
    results = run_micro(model, graph, samples).outputs
    oracle = Oracle(model, all_tensors=True)
    compared = set()
    for sample, outputs in zip(samples, results, strict=True):
        oracle.run(sample)
        values = dict(zip(graph.inputs, sample, strict=True))
        values |= dict(zip(graph.outputs, outputs, strict=True))
        for op in graph.operators:
            activations = [i for i in op.inputs if i in values]
            result = values[op.outputs[0]]
            if op.opcode == "FULLY_CONNECTED":
                np.testing.assert_array_equal(
                    result, integer_dense(graph, op, values[op.inputs[0]]), err_msg=str(op)
                )
            elif all(np.array_equal(values[i], oracle.tensor(i)) for i in activations):
                np.testing.assert_array_equal(result, oracle.tensor(op.outputs[0]), err_msg=str(op))
            else:
                continue
            compared.add(op.index)
    assert compared == {op.index for op in graph.operators}


def test_outputs_of_the_recorded_input(mlperf_tiny_model: Path) -> None:
    baseline = json.loads((mlperf_tiny_model.parent / "tflm_baseline.json").read_text())
    (key,) = (k for k, name in baseline["models"].items() if name == mlperf_tiny_model.name)
    graph = read_graph(mlperf_tiny_model)
    sample = recorded_input(graph.input_tensors[0].shape)
    (outputs,) = run_micro(mlperf_tiny_model.read_bytes(), graph, [[sample]]).outputs
    assert f"{zlib.crc32(outputs[0].tobytes()):08x}" == baseline["output_crc32"][key]


def test_keyword_spotting_inputs_are_classified_as_by_the_oracle(mlperf_tiny: Path) -> None:
    path = mlperf_tiny / "kws_dscnn_int8.tflite"
    recorded = np.load(mlperf_tiny / "kws_inputs.npz")
    samples = [[x[None]] for x in recorded["x"]]
    result = run_micro(path.read_bytes(), read_graph(path), iter(samples))
    oracle = Oracle(path)
    classes = np.array([outputs[0].argmax() for outputs in result.outputs])
    expected = np.array([oracle.run(sample)[0].argmax() for sample in samples])
    np.testing.assert_array_equal(classes, expected)
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

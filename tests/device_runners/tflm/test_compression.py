"""Weights as lookup tables: smaller, and the same results in TFLM's own interpreter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.errors import TidepoolError
from converters.tflite import read_graph, write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.cluster import cluster_weights
from converters.tflite.options import FullyConnectedOptions
from device_runners.host.micro import run_micro
from device_runners.host.oracle import Oracle
from device_runners.runner import Int8Model
from device_runners.tflm import build, check, compress, run
from device_runners.tflm.compression import Compression


def clustered(path: Path, bits: int) -> Int8Model:
    graph = cluster_weights(read_graph(path), bits).graph
    return Int8Model("net", write_graph(graph), graph)


def samples_of(model: Int8Model, count: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(7)
    shapes = [tensor.shape for tensor in model.graph.input_tensors]
    return [
        [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes] for _ in range(count)
    ]


def is_exact(model: Int8Model, found: Compression) -> bool:
    samples = samples_of(model, 3)
    oracle = Oracle(model.content)
    outputs = run_micro(found.model.content, found.model.graph, samples).outputs
    return all(
        np.array_equal(ours, theirs)
        for sample, result in zip(samples, outputs, strict=True)
        for ours, theirs in zip(result, oracle.run(sample), strict=True)
    )


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("name", ["kws_dscnn_int8", "ic_resnet8_int8"])
def test_clustered_weights_take_less_and_compute_the_same(
    mlperf_tiny: Path, name: str, bits: int
) -> None:
    model = clustered(mlperf_tiny / f"{name}.tflite", bits)
    found = compress(model)
    assert is_exact(model, found)
    assert found.bytes_after == len(found.model.content) < found.bytes_before
    assert all(tensor.bits <= bits and tensor.saved_bytes > 0 for tensor in found.tensors)
    # Buffers that are aligned together can make a difference of a few bytes a tensor.
    alone = sum(tensor.saved_bytes for tensor in found.tensors)
    slack = 64 * (len(found.tensors) + 1)
    rebuilt = found.bytes_after + alone
    assert abs(rebuilt - found.bytes_before) <= slack


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ad01_int8", "vww_mobilenet_int8"])
def test_large_models_take_less_and_compute_the_same(mlperf_tiny: Path, name: str) -> None:
    model = clustered(mlperf_tiny / f"{name}.tflite", 4)
    found = compress(model)
    assert is_exact(model, found)
    assert found.saved_bytes > 60_000


@pytest.mark.slow
def test_few_values_are_compressed_without_clustering_and_loss(mlperf_tiny: Path) -> None:
    path = mlperf_tiny / "vww_mobilenet_int8.tflite"
    model = Int8Model("vww", path.read_bytes(), read_graph(path))
    found = compress(model)
    assert is_exact(model, found)
    assert found.saved_bytes > 20_000


def test_a_compressed_model_is_built_and_runs_like_any_other(
    mlperf_tiny: Path, tmp_path: Path
) -> None:
    model = clustered(mlperf_tiny / "kws_dscnn_int8.tflite", 3)
    found = compress(model)
    assert check(found.model.graph).items == ()
    artifacts = build(found.model, tmp_path / "tflm")
    resolver = (tmp_path / "tflm" / "net_op_resolver.h").read_text()
    assert resolver.count("resolver.AddDecode()") == 1
    assert "MicroMutableOpResolver<7>" in resolver
    (sample,) = samples_of(model, 1)
    (output,) = run(artifacts, sample)
    np.testing.assert_array_equal(output, Oracle(model.content).run(sample)[0])


def test_weights_with_too_many_values_are_an_error_that_says_what_to_do(mlperf_tiny: Path) -> None:
    path = mlperf_tiny / "kws_dscnn_int8.tflite"
    with pytest.raises(TidepoolError, match="no weights of kws get smaller") as error:
        compress(Int8Model("kws", path.read_bytes(), read_graph(path)))
    assert "cluster them first" in error.value.hint


def test_a_tensor_with_one_value_needs_one_bit() -> None:
    b = GraphBuilder("flat")
    x = b.input((1, 256), scale=0.1, zero_point=3)
    w = b.constant(np.full((32, 256), 5, np.int8), scales=[0.1], zero_points=[0])
    bias = b.constant(np.arange(32, dtype=np.int32), scales=[0.01], zero_points=[0])
    y = b.op(
        "FULLY_CONNECTED",
        [x, w, bias],
        FullyConnectedOptions(),
        shape=(1, 32),
        scale=5.0,
        zero_point=-4,
    )
    b.output(y)
    graph = b.graph()
    model = Int8Model("flat", write_graph(graph), graph)
    found = compress(model)
    assert [tensor.bits for tensor in found.tensors] == [1]
    assert is_exact(model, found)

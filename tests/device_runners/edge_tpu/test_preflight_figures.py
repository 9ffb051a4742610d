"""Parameter bytes, multiply-accumulates and the range of the latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from converters.tflite.reader import read_graph
from device_runners.edge_tpu.estimate import latency_range
from device_runners.edge_tpu.macs import operator_macs
from device_runners.edge_tpu.parameters import (
    MIB,
    MemoryLevel,
    operator_parameter_bytes,
    predict_parameters,
)
from device_runners.edge_tpu.preflight import preflight


def with_weights(opcode: str, shape: Sequence[int], output: Sequence[int], *weights: int) -> Graph:
    b = GraphBuilder("one")
    x = b.input(shape, 0.1, 0)
    w = b.constant(np.zeros(weights, np.int8), scales=[0.1])
    inputs = [x, w]
    if opcode == "TRANSPOSE_CONV":
        inputs = [b.constant(np.array(output, np.int32)), w, x]
    b.output(b.op(opcode, inputs, None, shape=output, scale=0.1, zero_point=0))
    return b.graph()


@pytest.mark.parametrize(
    ("graph", "parameter_bytes", "macs"),
    [
        (
            with_weights("CONV_2D", (1, 8, 8, 3), (1, 8, 8, 10), 10, 3, 3, 3),
            64 * 9 * 4 + 8 * 64,
            8 * 8 * 10 * 9 * 3,
        ),
        (
            with_weights("CONV_2D", (1, 8, 8, 8), (1, 4, 4, 65), 65, 1, 1, 8),
            128 * 8 + 8 * 128,
            4 * 4 * 65 * 8,
        ),
        (
            with_weights("DEPTHWISE_CONV_2D", (1, 8, 8, 24), (1, 8, 8, 24), 1, 3, 3, 24),
            64 * 9 + 8 * 64,
            8 * 8 * 24 * 9,
        ),
        (
            with_weights("FULLY_CONNECTED", (1, 30), (1, 1), 1, 30),
            16 * 32 + 8 * 16,
            30,
        ),
        (
            with_weights("TRANSPOSE_CONV", (1, 4, 4, 8), (1, 8, 8, 4), 4, 2, 2, 8),
            64 * 4 * 8 + 8 * 64,
            4 * 4 * 8 * 2 * 2 * 4,
        ),
        (with_weights("BATCH_MATMUL", (1, 5, 7), (1, 5, 3), 1, 7, 3), 21, 5 * 3 * 7),
        (with_weights("ADD", (1, 8), (1, 8), 1, 8), 8, 0),
    ],
)
def test_bytes_and_macs_of_one_operator(graph: Graph, parameter_bytes: int, macs: int) -> None:
    op = graph.operators[0]
    assert operator_parameter_bytes(graph, op) == parameter_bytes
    assert operator_macs(graph, op) == macs


# The millions of multiply-accumulates that the models' authors publish with them.
@pytest.mark.parametrize(
    ("name", "millions"),
    [("mobilenet_v2_1.0_224_quant", 300), ("mobilenet_v1_0.25_128_quant", 14)],
)
def test_macs_of_real_models(edge_tpu_pairs: Path, name: str, millions: int) -> None:
    graph = read_graph(edge_tpu_pairs / f"{name}.tflite")
    macs = sum(operator_macs(graph, op) for op in graph.operators)
    assert macs / 1e6 == pytest.approx(millions, rel=0.04)


@pytest.mark.parametrize(
    ("depth", "level"),
    [(1024, MemoryLevel.FITS), (6144, MemoryLevel.BORDERLINE), (10_240, MemoryLevel.STREAMS)],
)
def test_levels_of_memory(depth: int, level: MemoryLevel) -> None:
    graph = with_weights("CONV_2D", (1, 1, 1, depth), (1, 1, 1, 1024), 1024, 1, 1, depth)
    found = predict_parameters(graph, {0})
    assert found.level is level
    assert found.predicted == 1024 * (depth + 8)
    assert found.range[0] < found.predicted < found.range[1]
    assert found.cached[0] <= found.cached[1] <= 8 * MIB
    assert (found.streamed[1] > 0) is (level is not MemoryLevel.FITS)
    assert (found.streamed[0] > 0) is (level is MemoryLevel.STREAMS)
    assert "10%" in found.error
    warnings = preflight(graph).warnings
    assert bool(warnings) is (level is not MemoryLevel.FITS)


def test_what_stays_on_the_cpu_takes_no_memory() -> None:
    graph = with_weights("CONV_2D", (1, 8, 8, 3), (1, 8, 8, 10), 10, 3, 3, 3)
    assert predict_parameters(graph, set()).predicted == 0


# Published for a desktop with USB 3: name, GMAC (of the papers), MiB of parameters less the 7 or
# so that fit, milliseconds.
PUBLISHED = [
    ("MobileNet v1", 0.57, 0, 2.4),
    ("MobileNet v2", 0.30, 0, 2.6),
    ("Inception v1", 1.5, 0, 3.4),
    ("Inception v4", 12.3, 35, 85),
    ("ResNet-50 v1", 3.9, 18, 49),
]


@pytest.mark.parametrize(("name", "gmacs", "streamed", "published"), PUBLISHED)
def test_published_latencies_are_in_the_range(
    name: str, gmacs: float, streamed: float, published: float
) -> None:
    found = latency_range(round(gmacs * 1e9), (round(streamed * MIB), round(streamed * MIB)))
    assert found.low_ms <= published <= found.high_ms, name


def test_latency_grows_with_work_and_says_what_it_rests_on() -> None:
    base = latency_range(10**9, (0, 0))
    assert latency_range(2 * 10**9, (0, 0)).low_ms > base.low_ms
    streamed = latency_range(10**9, (0, 2 * MIB))
    assert (streamed.low_ms, streamed.high_ms) == (
        base.low_ms,
        pytest.approx(base.high_ms + 2 * 13.5),
    )
    on_cpu = latency_range(10**9, (0, 0), cpu_elements=400_000)
    assert (on_cpu.low_ms, on_cpu.high_ms) == (base.low_ms, pytest.approx(base.high_ms + 10))
    assert "assumed" in on_cpu.error
    assert "assumed" not in base.error
    assert "4.2%" in base.source

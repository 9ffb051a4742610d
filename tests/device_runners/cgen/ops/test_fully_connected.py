from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.graphs import ACTIVATIONS
from support.host_equality import assert_every_tensor_equals_reference, object_cache
from support.models import int8_model

from converters.tflite import write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph
from converters.tflite.options import FullyConnectedOptions
from device_runners.cgen import HostBuild, build, check
from device_runners.host.micro import run_micro

RNG = np.random.default_rng(3)


def dense(
    shape: tuple[int, ...] = (8, 24),
    units: int = 7,
    *,
    per_channel: bool = False,
    bias: str = "present",
    keep: bool = False,
    activation: Activation = Activation.NONE,
    zero_points: tuple[int, int] = (3, -7),
    weights_zero_point: int = 0,
    depth: int = 24,
    scales: tuple[float, float, float] = (0.05, 0.01, 0.7),
    bias_scale: float | None = None,
) -> Graph:
    b = GraphBuilder("dense")
    x = b.input(shape, scales[0], zero_points[0])
    count = units if per_channel else 1
    weight_scales = (scales[1] * np.linspace(1, 2, count)).tolist()
    w = b.constant(
        RNG.integers(-128, 128, (units, depth)).astype(np.int8),
        scales=weight_scales,
        zero_points=[weights_zero_point] * count,
    )
    inputs = [x, w]
    if bias == "present":
        values = RNG.integers(-9000, 9000, units).astype(np.int32)
        product = [bias_scale or scales[0] * scale for scale in weight_scales]
        inputs.append(b.constant(values, scales=product))
    elif bias == "skipped":
        inputs.append(-1)
    output = (*shape[:-1], units) if keep else (int(np.prod(shape)) // depth, units)
    options = FullyConnectedOptions(activation, keep_num_dims=keep)
    y = b.op(
        "FULLY_CONNECTED",
        inputs,
        options,
        shape=output,
        scale=scales[2],
        zero_point=zero_points[1],
        version=4,
    )
    b.output(y)
    return b.graph()


def samples(graph: Graph) -> list[list[np.ndarray]]:
    shape = graph.input_tensors[0].shape
    return [
        [RNG.integers(-128, 128, shape).astype(np.int8)],
        [np.full(shape, -128, np.int8)],
        [np.full(shape, 127, np.int8)],
    ]


def assert_equal(graph: Graph, folder: Path) -> None:
    assert_every_tensor_equals_reference(graph, samples(graph), folder)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bias", ["present", "skipped", "left out"])
def test_weights_and_bias(tmp_path: Path, per_channel: bool, bias: str) -> None:
    assert_equal(dense(per_channel=per_channel, bias=bias), tmp_path)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_activations(tmp_path: Path, activation: Activation) -> None:
    assert_equal(dense(activation=activation, per_channel=True), tmp_path)


@pytest.mark.parametrize("zero_points", [(-128, 127), (127, -128), (-128, -128)])
@pytest.mark.parametrize("weights_zero_point", [-128, 127])
def test_zero_points(tmp_path: Path, zero_points: tuple[int, int], weights_zero_point: int) -> None:
    graph = dense(zero_points=zero_points, weights_zero_point=weights_zero_point)
    assert_equal(graph, tmp_path)


@pytest.mark.parametrize("keep", [False, True])
def test_higher_ranks(tmp_path: Path, keep: bool) -> None:
    assert_equal(dense((2, 3, 4, 24), keep=keep), tmp_path)


def test_input_is_flattened(tmp_path: Path) -> None:
    assert_equal(dense((2, 3, 8), depth=24), tmp_path)


@pytest.mark.parametrize("exponent", [-20, -12, -9, -1, 0])
def test_ties_round_away_from_zero(tmp_path: Path, exponent: int) -> None:
    # A power of two makes every other accumulator a tie.
    assert_equal(dense((64, 24), scales=(2.0**exponent, 1.0, 1.0)), tmp_path)


@pytest.mark.parametrize("per_channel", [False, True])
def test_equals_tflm_where_one_rounding_would_differ(tmp_path: Path, per_channel: bool) -> None:
    """Few bits are shifted out, so that the first of the two roundings matters now and then."""
    graph = dense(
        (400, 2), units=40, depth=2, scales=(0.05, 0.1, 0.0937), per_channel=per_channel, bias=""
    )
    batch = samples(graph)
    with HostBuild(build(int8_model(graph), tmp_path / "aot"), object_cache=object_cache()) as host:
        outputs = [result[0] for result in host.run_many(batch)]
    expected = [result[0] for result in run_micro(write_graph(graph), graph, batch).outputs]
    np.testing.assert_array_equal(outputs, expected)
    x, w = batch[0][0].astype(int) - 3, graph.tensor(1)
    assert w.data is not None and w.quantization is not None
    factor = 0.05 * np.array(w.quantization.scales) / 0.0937
    once = np.floor((x @ w.data.T.astype(int)) * factor + 0.5).astype(int) - 7
    assert np.count_nonzero(np.clip(once, -128, 127) != expected[0]) > 0


def test_bias_of_another_scale_is_refused() -> None:
    (finding,) = check(dense(bias_scale=0.5)).blocking
    assert "has a bias of scale 0.5; input scale times weights scale is 0.00049" in finding.message


def test_per_channel_zero_points_are_refused() -> None:
    (finding,) = check(dense(per_channel=True, weights_zero_point=1)).blocking
    assert "zero points other than 0" in finding.message

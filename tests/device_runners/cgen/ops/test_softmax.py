from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import (
    ALL_INT8,
    SANITIZED,
    assert_every_tensor_equals_reference,
    object_cache,
)
from support.models import int8_model

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from converters.tflite.options import SoftmaxOptions
from device_runners.cgen import HostBuild, build, check
from device_runners.cgen.fixed_point import softmax_exponentials

RNG = np.random.default_rng(11)


def softmax(
    shape: tuple[int, ...],
    *,
    scale: float = 0.1,
    beta: float = 1.0,
    output_scale: float = 1 / 256,
    output_zero_point: int = -128,
) -> Graph:
    b = GraphBuilder("softmax")
    x = b.input(shape, scale, 5)
    y = b.op(
        "SOFTMAX",
        [x],
        SoftmaxOptions(beta),
        shape=shape,
        scale=output_scale,
        zero_point=output_zero_point,
        version=2,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("beta", [0.3, 1.0, 10.0])
@pytest.mark.parametrize("scale", [0.0005, 0.01, 0.17, 1.0, 30.0])
def test_every_distance_and_many_sums(tmp_path: Path, scale: float, beta: float) -> None:
    pairs = np.stack([np.full(256, 127, np.int8), ALL_INT8], axis=1)
    graph = softmax((256, 2), scale=scale, beta=beta)
    samples = [[pairs], [RNG.integers(-128, 128, (256, 2)).astype(np.int8)]]
    assert_every_tensor_equals_reference(graph, samples, tmp_path)


@pytest.mark.parametrize("shape", [(7,), (1, 1), (3, 1000), (2, 3, 4, 5), (1, 4095)])
def test_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    # Steep enough that the exponentials of 4095 random values add up to less than 512.
    sample = [RNG.integers(-128, 128, shape).astype(np.int8)]
    assert_every_tensor_equals_reference(softmax(shape, scale=0.3), [sample], tmp_path)


@pytest.mark.parametrize("depth", [512, 4095])
def test_sums_at_which_the_reference_aborts_give_probability_0(tmp_path: Path, depth: int) -> None:
    artifacts = build(int8_model(softmax((1, depth))), tmp_path / "aot")
    with HostBuild(artifacts, flags=SANITIZED, object_cache=object_cache()) as host:
        (result,) = host.run([np.zeros((1, depth), np.int8)])
    assert (result == -128).all()


def test_exponentials_are_close_to_the_real_ones() -> None:
    table = np.array(softmax_exponentials(1.0, 0.05), np.float64) / 2**31
    np.testing.assert_allclose(table, np.exp(-0.05 * np.arange(len(table))), atol=2e-7)


def test_too_many_classes_are_refused() -> None:
    assert "4095 are supported" in check(softmax((1, 4096))).blocking[0].message


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 128, -128), (1 / 256, 0)])
def test_another_output_quantization_is_refused(scale: float, zero_point: int) -> None:
    graph = softmax((4,), output_scale=scale, output_zero_point=zero_point)
    assert "1/256 and -128 are needed" in check(graph).blocking[0].message


def test_a_scale_beyond_the_reference_is_refused() -> None:
    assert "out of range" in check(softmax((4,), scale=1e-9)).blocking[0].message

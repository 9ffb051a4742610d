from __future__ import annotations

import numpy as np
import pytest
from support.rewriting import (
    all_map,
    assert_every_common_tensor_is_equal,
    opcodes,
    rewritten_by,
    the_pass,
)

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, TensorType
from converters.tflite.options import LeakyReluOptions


def leaky(
    alpha: float,
    scale: float = 0.1,
    zero_point: int = 3,
    output: tuple[float, int] = (0.05, -90),
    shape: tuple[int, ...] = (1, 16, 16, 1),
    type: TensorType = TensorType.INT8,
) -> Graph:
    b = GraphBuilder("leaky")
    x = b.input(shape, scale, zero_point, type)
    y = b.op(
        "LEAKY_RELU",
        [x],
        LeakyReluOptions(alpha),
        shape=shape,
        scale=output[0],
        zero_point=output[1],
        type=type,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("seed", range(30))
def test_every_output_is_what_it_was(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = float(10 ** rng.uniform(-3, 1))
    graph = leaky(
        float(np.float32(rng.choice([0.01, 0.1, 0.2, 0.3, 1.0, 1.7, rng.uniform(0, 2)]))),
        scale,
        int(rng.integers(-128, 128)),
        (scale * float(10 ** rng.uniform(-1, 1)), int(rng.integers(-128, 128))),
        ((1, 16, 16, 4), (1, 64), (1, 8, 32))[seed % 3],
    )
    after = rewritten_by("leaky_relu", graph)
    assert_every_common_tensor_is_equal(graph, after, rng, samples=4)
    assert all_map(after)
    assert not all_map(graph)


def test_all_256_inputs() -> None:
    graph = leaky(0.2)
    after = rewritten_by("leaky_relu", graph)
    assert opcodes(after) == ["PRELU v1"]
    assert after.tensor(after.operators[0].inputs[1]).shape == (1, 1, 1)
    assert_every_common_tensor_is_equal(graph, after, np.random.default_rng(0), samples=50)


@pytest.mark.parametrize("alpha", [0.0, -0.1])
def test_a_slope_that_no_scale_can_be_stays(alpha: float) -> None:
    assert the_pass("leaky_relu").run(leaky(alpha)) is None


def test_a_float_one_stays() -> None:
    assert the_pass("leaky_relu").run(leaky(0.1, type=TensorType.FLOAT32)) is None

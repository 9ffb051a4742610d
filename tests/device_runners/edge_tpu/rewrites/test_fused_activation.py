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
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import Pool2DOptions

CLAMPS = (Activation.RELU, Activation.RELU6, Activation.RELU_N1_TO_1)


def fused(opcode: str, activation: Activation, scale: float, zero_point: int) -> Graph:
    b = GraphBuilder("fused")
    x = b.input((1, 5, 5, 3), scale, zero_point)
    options = Pool2DOptions(Padding.SAME, 2, 2, 3, 2, activation)
    y = b.op(
        opcode,
        [x],
        options,
        shape=(1, 3, 3, 3),
        scale=scale,
        zero_point=zero_point,
        version=2,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("opcode", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
@pytest.mark.parametrize("activation", CLAMPS)
@pytest.mark.parametrize(
    ("scale", "zero_point"), [(0.1, -7), (0.02, 0), (0.01, -100), (3.0, 126), (0.05, 127)]
)
def test_every_output_is_what_it_was(
    opcode: str, activation: Activation, scale: float, zero_point: int
) -> None:
    graph = fused(opcode, activation, scale, zero_point)
    after = rewritten_by("fused_activation", graph)
    assert_every_common_tensor_is_equal(graph, after, np.random.default_rng(0), samples=6)
    assert all_map(after)
    assert not all_map(graph)


def test_a_clamp_that_is_the_range_of_the_type_is_left_out() -> None:
    after = rewritten_by("fused_activation", fused("MAX_POOL_2D", Activation.RELU, 0.1, -128))
    assert opcodes(after) == ["MAX_POOL_2D v2"]
    after = rewritten_by("fused_activation", fused("MAX_POOL_2D", Activation.RELU, 0.1, -127))
    assert opcodes(after) == ["MAX_POOL_2D v2", "RELU v2"]


def test_without_activation_there_is_nothing_to_do() -> None:
    graph = fused("MAX_POOL_2D", Activation.NONE, 0.1, 0)
    assert the_pass("fused_activation").run(graph) is None

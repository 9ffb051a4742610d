from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph
from converters.tflite.options import ConcatenationOptions
from device_runners.cgen import check

RNG = np.random.default_rng(10)


def concatenation(
    shapes: list[tuple[int, ...]],
    axis: int,
    *,
    constant_last: bool = False,
    last_scale: float = 0.1,
    activation: Activation = Activation.NONE,
) -> Graph:
    b = GraphBuilder("concatenation")
    inputs = [b.input(shape, 0.1, 3) for shape in shapes[:-1]]
    if constant_last:
        data = RNG.integers(-128, 128, shapes[-1]).astype(np.int8)
        inputs.append(b.constant(data, scales=[last_scale], zero_points=[3]))
    else:
        inputs.append(b.input(shapes[-1], last_scale, 3))
    output = list(shapes[0])
    output[axis] = sum(shape[axis] for shape in shapes)
    y = b.op(
        "CONCATENATION",
        inputs,
        ConcatenationOptions(axis, activation),
        shape=output,
        scale=0.1,
        zero_point=3,
        version=2,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("constant_last", [False, True])
@pytest.mark.parametrize(
    ("shapes", "axis"),
    [
        ([(2, 3, 4), (2, 3, 1), (2, 3, 2)], 2),
        ([(2, 3, 4), (2, 1, 4)], 1),
        ([(2, 3, 4), (5, 3, 4)], 0),
        ([(2, 3, 4), (2, 3, 4)], -1),
        ([(3,), (2,)], 0),
    ],
)
def test_axes(
    tmp_path: Path, shapes: list[tuple[int, ...]], axis: int, constant_last: bool
) -> None:
    graph = concatenation(shapes, axis, constant_last=constant_last)
    sample = [RNG.integers(-128, 128, t.shape).astype(np.int8) for t in graph.input_tensors]
    assert_every_tensor_equals_reference(graph, [sample], tmp_path)


def test_one_operand_twice(tmp_path: Path) -> None:
    b = GraphBuilder("twice")
    x = b.input((2, 3), 0.1, 3)
    y = b.op(
        "CONCATENATION",
        [x, x],
        ConcatenationOptions(1),
        shape=(2, 6),
        scale=0.1,
        zero_point=3,
        version=2,
    )
    b.output(y)
    sample = [np.arange(6, dtype=np.int8).reshape(2, 3)]
    assert_every_tensor_equals_reference(b.graph(), [sample], tmp_path)


def test_differing_scales_are_refused_as_by_the_reference() -> None:
    (finding,) = check(concatenation([(2,), (2,)], 0, last_scale=0.2)).blocking
    assert "needs operands and output in one quantization" in finding.message


def test_a_fused_activation_is_refused() -> None:
    graph = concatenation([(2,), (2,)], 0, activation=Activation.RELU)
    assert "has the fused activation RELU; NONE is supported" in check(graph).blocking[0].message

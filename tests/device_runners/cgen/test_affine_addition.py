"""ADD and SUB by the kernels for affine sums, with and without broadcasting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.graphs import random_inputs
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph
from converters.tflite.options import AddOptions, SubOptions

_OPTIONS: dict[str, Any] = {"ADD": AddOptions, "SUB": SubOptions}
_SHAPE = (1, 4, 3, 5)


def _graph(opcode: str, shapes: tuple[tuple[int, ...], tuple[int, ...]], constant: bool) -> Graph:
    b = GraphBuilder("sum")
    rng = np.random.default_rng(len(opcode))
    first = b.input(shapes[0], 0.0517, -17)
    values = rng.integers(-128, 128, shapes[1]).astype(np.int8)
    second = (
        b.constant(values, scales=[0.0213], zero_points=[4])
        if constant
        else b.input(shapes[1], 0.0213, 4)
    )
    options = _OPTIONS[opcode](fused_activation_function=Activation.RELU)
    y = b.op(
        opcode, [first, second], options, shape=_SHAPE, scale=0.0441, zero_point=-90, version=2
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("opcode", _OPTIONS)
@pytest.mark.parametrize("constant", [False, True])
def test_sums_are_exact(opcode: str, constant: bool, tmp_path: Path) -> None:
    others: list[tuple[int, ...]] = [_SHAPE, (5,), (1, 1, 3, 1), (1, 4, 1, 5), (1, 4, 3, 1)]
    cases = [(_SHAPE, other) for other in others]
    cases += [(other, _SHAPE) for other in others[1:]]
    for number, shapes in enumerate(cases):
        graph = _graph(opcode, shapes, constant)
        samples = [random_inputs(np.random.default_rng(i), graph) for i in range(3)]
        folder = tmp_path / str(number)
        artifacts = assert_every_tensor_equals_reference(graph, samples, folder)
        same = shapes[0] == shapes[1]
        kernel = "add_affine" if same else "add_affine_broadcast"
        assert artifacts.figures["kernels"] == [kernel]

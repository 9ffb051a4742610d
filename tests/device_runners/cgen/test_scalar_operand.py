"""ADD, SUB and MUL with a constant of one element become a table, which is exact on all inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph
from converters.tflite.options import AddOptions, MulOptions, SubOptions

_OPTIONS: dict[str, Any] = {"ADD": AddOptions, "SUB": SubOptions, "MUL": MulOptions}


def _graph(opcode: str, constant: np.ndarray, position: int, elements: int) -> Graph:
    b = GraphBuilder("scalar")
    x = b.input((1, elements), 0.05, -17)
    c = b.constant(constant, scales=[0.03], zero_points=[4])
    operands = [x, c] if position == 1 else [c, x]
    options = _OPTIONS[opcode](fused_activation_function=Activation.RELU6)
    shape = (1, elements)
    y = b.op(opcode, operands, options, shape=shape, scale=0.04, zero_point=-100, version=2)
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("opcode", _OPTIONS)
def test_a_constant_of_one_element_is_part_of_a_table(
    opcode: str, position: int, tmp_path: Path
) -> None:
    for value in (-128, 5, 127):
        graph = _graph(opcode, np.array([value], np.int8), position, 256)
        folder = tmp_path / str(value)
        artifacts = assert_every_tensor_equals_reference(graph, [[ALL_INT8[None]]], folder)
        assert artifacts.figures["kernels"] == ["lookup"]


def test_small_outputs_take_no_table(tmp_path: Path) -> None:
    graph = _graph("MUL", np.array([5], np.int8), 1, 16)
    samples = [[ALL_INT8[None, i : i + 16]] for i in range(0, 256, 16)]
    artifacts = assert_every_tensor_equals_reference(graph, samples, tmp_path)
    assert artifacts.figures["kernels"] == ["mul"]

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from device_runners.cgen.passes import run_passes
from device_runners.cgen.program import Program

_ALL = np.arange(-128, 128).astype(np.int8).reshape(1, 256)


def _chain(opcode: str, scale: float, zero_points: tuple[int, int]) -> Graph:
    b = GraphBuilder("identity")
    shape = (1, 256)
    x = b.input(shape, 0.05, zero_points[0])
    y = b.op("LOGISTIC", [x], None, shape=shape, scale=1 / 256, zero_point=-128)
    y = b.op("QUANTIZE", [y], None, shape=shape, scale=0.05, zero_point=zero_points[0], version=2)
    z = b.op(opcode, [y], None, shape=shape, scale=scale, zero_point=zero_points[1], version=2)
    b.output(b.op("LOGISTIC", [z], None, shape=shape, scale=1 / 256, zero_point=-128))
    return b.graph()


@pytest.mark.parametrize(
    ("opcode", "scale", "zero_points", "is_identity"),
    [
        ("QUANTIZE", 0.05, (3, 3), True),
        ("QUANTIZE", 0.05, (3, 4), False),
        ("QUANTIZE", 0.0501, (3, 3), True),
        ("QUANTIZE", 0.051, (3, 3), False),
        ("RELU", 0.05, (-128, -128), True),
        ("RELU", 0.05, (-127, -127), False),
        ("RELU6", 0.05, (-128, -128), False),
    ],
)
def test_only_what_changes_no_value_is_dropped(
    opcode: str, scale: float, zero_points: tuple[int, int], is_identity: bool, tmp_path: Path
) -> None:
    graph = _chain(opcode, scale, zero_points)
    program = run_passes(Program(graph))
    dropped = [op.index for op in graph.operators if program.is_silent(op)]
    assert dropped == ([2] if is_identity else [])
    assert [saving.transformation for saving in program.savings] == ["alias_identities"] * len(
        dropped
    )
    assert_every_tensor_equals_reference(graph, [[_ALL]], tmp_path)


def test_an_output_that_equals_an_input(tmp_path: Path) -> None:
    b = GraphBuilder("through")
    x = b.input((1, 256), 0.05, 3)
    b.output(b.op("QUANTIZE", [x], None, shape=(1, 256), scale=0.05, zero_point=3, version=2))
    b.output(b.op("LOGISTIC", [x], None, shape=(1, 256), scale=1 / 256, zero_point=-128))
    assert_every_tensor_equals_reference(b.graph(), [[_ALL], [_ALL[:, ::-1]]], tmp_path)

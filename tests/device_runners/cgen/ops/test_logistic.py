from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite import write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from device_runners.cgen import check
from device_runners.cgen.ops.logistic import logistic_table
from device_runners.host.oracle import Oracle


def logistic(scale: float, zero_point: int, output_scale: float = 1 / 256) -> Graph:
    b = GraphBuilder("logistic")
    x = b.input((256,), scale, zero_point)
    y = b.op("LOGISTIC", [x], None, shape=(256,), scale=output_scale, zero_point=-128, version=2)
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
@pytest.mark.parametrize("scale", [1e-5, 0.1, 50.0])
def test_every_input(tmp_path: Path, scale: float, zero_point: int) -> None:
    assert_every_tensor_equals_reference(logistic(scale, zero_point), [[ALL_INT8]], tmp_path)


def test_tables_of_many_scales_equal_the_reference() -> None:
    rng = np.random.default_rng(12)
    for scale in (10.0 ** rng.uniform(-4, 1, 300)).tolist():
        zero_point = int(rng.integers(-128, 128))
        graph = logistic(scale, zero_point)
        (expected,) = Oracle(write_graph(graph)).run([ALL_INT8])
        table = logistic_table(graph.input_tensors[0].scale, zero_point, -128)
        np.testing.assert_array_equal(table, expected, err_msg=f"{scale!r} {zero_point}")


def test_another_output_scale_is_refused() -> None:
    assert "must be 1/256" in check(logistic(0.1, 0, 1 / 128)).blocking[0].message

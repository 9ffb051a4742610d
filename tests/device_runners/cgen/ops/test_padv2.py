from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from device_runners.cgen import check


def padv2(value: int, *, value_scale: float = 0.1) -> Graph:
    b = GraphBuilder("padv2")
    x = b.input((2, 3), 0.1, -5)
    paddings = b.constant(np.array([(1, 2), (0, 3)], np.int32))
    fill = b.constant(np.array([value], np.int8), scales=[value_scale], zero_points=[-5])
    y = b.op("PADV2", [x, paddings, fill], None, shape=(5, 6), scale=0.1, zero_point=-5, version=2)
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("value", [-128, 0, 127])
def test_padding_value(tmp_path: Path, value: int) -> None:
    sample = [np.arange(6, dtype=np.int8).reshape(2, 3)]
    assert_every_tensor_equals_reference(padv2(value), [sample], tmp_path)


def test_a_value_in_another_quantization_is_refused() -> None:
    (finding,) = check(padv2(0, value_scale=0.2)).blocking
    assert "needs padding value and output in one quantization" in finding.message

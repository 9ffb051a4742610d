from __future__ import annotations

from pathlib import Path

import numpy as np
from support.host_equality import ALL_INT8, assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.options import AddOptions, ReshapeOptions
from device_runners.cgen import check


def test_a_computed_tensor_is_aliased(tmp_path: Path) -> None:
    b = GraphBuilder("alias")
    x = b.input((256,), 0.1, 0)
    y = b.op("RELU", [x], None, shape=(256,), scale=0.1, zero_point=0, version=2)
    shape = b.constant(np.array([4, 64], np.int32))
    z = b.op("RESHAPE", [y, shape], ReshapeOptions((4, 64)), shape=(4, 64), scale=0.1, zero_point=0)
    b.output(z)
    artifacts = assert_every_tensor_equals_reference(b.graph(), [[ALL_INT8]], tmp_path)
    assert artifacts.figures["kernels"] == ["rescale"]
    assert artifacts.figures["layers"][1]["kernel"] is None
    assert artifacts.figures["arena_bytes"] == 256


def test_an_alias_keeps_its_memory_alive(tmp_path: Path) -> None:
    """RELU may not work in place on a tensor whose other shape is read later."""
    b = GraphBuilder("alive")
    x = b.input((16, 16), 0.1, 0)
    r = b.op("RESHAPE", [x], ReshapeOptions((256,)), shape=(256,), scale=0.1, zero_point=0)
    y = b.op("RELU", [x], None, shape=(16, 16), scale=0.1, zero_point=0, version=2)
    s = b.op("RESHAPE", [y], ReshapeOptions((256,)), shape=(256,), scale=0.1, zero_point=0)
    z = b.op("ADD", [r, s], AddOptions(), shape=(256,), scale=0.2, zero_point=0, version=2)
    b.output(z)
    sample = [ALL_INT8.reshape(16, 16)]
    assert_every_tensor_equals_reference(b.graph(), [sample], tmp_path)


def test_a_constant_is_copied(tmp_path: Path) -> None:
    b = GraphBuilder("copied")
    x = b.input((2, 3), 0.1, 0)
    c = b.constant(np.arange(6, dtype=np.int8), scales=[0.1], zero_points=[0])
    r = b.op("RESHAPE", [c], ReshapeOptions((2, 3)), shape=(2, 3), scale=0.1, zero_point=0)
    z = b.op("ADD", [x, r], AddOptions(), shape=(2, 3), scale=0.2, zero_point=0, version=2)
    b.output(z)
    b.output(r)
    sample = [np.ones((2, 3), np.int8)]
    assert_every_tensor_equals_reference(b.graph(), [sample], tmp_path)


def test_an_output_that_is_an_input_in_another_shape(tmp_path: Path) -> None:
    b = GraphBuilder("through")
    x = b.input((2, 3), 0.1, 0)
    b.output(b.op("RESHAPE", [x], ReshapeOptions((6,)), shape=(6,), scale=0.1, zero_point=0))
    sample = [np.arange(6, dtype=np.int8).reshape(2, 3)]
    assert_every_tensor_equals_reference(b.graph(), [sample], tmp_path)


def test_another_size_is_refused() -> None:
    b = GraphBuilder("size")
    x = b.input((2, 3), 0.1, 0)
    b.output(b.op("RESHAPE", [x], ReshapeOptions((5,)), shape=(5,), scale=0.1, zero_point=0))
    assert "the sizes differ" in check(b.graph()).blocking[0].message

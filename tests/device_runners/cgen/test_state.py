"""What lasts between inferences: where it lies, how it starts, and what the code says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.models import int8_model
from support.recurrent_layers import svdf_graph

from converters.tflite.builder import GraphBuilder
from device_runners.cgen import HostBuild, build


def test_a_state_shares_its_memory_with_nothing(tmp_path: Path) -> None:
    graph = svdf_graph(3, layers=3)
    figures = build(int8_model(graph), tmp_path / "aot").figures
    assert len(figures["states"]) == 3
    for state in figures["states"]:
        begin, end = state["offset"], state["offset"] + state["bytes"]
        for tensor in figures["tensors"]:
            apart = tensor["offset"] + tensor["bytes"] <= begin or end <= tensor["offset"]
            assert apart or tensor["index"] == state["index"]
        (own,) = (t for t in figures["tensors"] if t["index"] == state["index"])
        assert (own["first"], own["last"]) == (-1, len(graph.operators))


def test_reset_is_declared_and_explained(tmp_path: Path) -> None:
    artifacts = build(int8_model(svdf_graph(3)), tmp_path / "aot")
    header = (artifacts.directory / "svdf.h").read_text()
    (state,) = artifacts.figures["states"]
    assert "void svdf_reset(uint8_t *arena);" in header
    assert f"#define SVDF_STATE_BYTES ({state['bytes']})" in header
    assert "call reset before the first" in header


def test_a_model_without_state_has_no_reset(tmp_path: Path) -> None:
    b = GraphBuilder("plain")
    x = b.input((1, 4), 0.05, 3)
    b.output(b.op("LOGISTIC", [x], None, shape=(1, 4), scale=1 / 256, zero_point=-128))
    artifacts = build(int8_model(b.graph()), tmp_path / "aot")
    text = "".join((artifacts.directory / name).read_text() for name in ("plain.h", "plain.c"))
    assert "reset" not in text and "STATE_BYTES" not in text
    assert artifacts.figures["states"] == []


def test_samples_start_anew_unless_they_are_a_sequence(tmp_path: Path) -> None:
    graph = svdf_graph(8)
    artifacts = build(int8_model(graph), tmp_path / "aot")
    sample = [np.full(graph.input_tensors[0].shape, 100, np.int8)]
    with HostBuild(artifacts) as host:
        first, second, third = host.run_many([sample] * 3)
        same, other, _ = host.run_many([sample] * 3, keep_state=True)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[0], third[0])
    np.testing.assert_array_equal(first[0], same[0])
    assert (same[0] != other[0]).any()

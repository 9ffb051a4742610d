"""What the passes saved, as it is measured on the generated code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.models import int8_model

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import Conv2DOptions
from device_runners.cgen import Isa, build


def _conv(
    b: GraphBuilder, x: int, weights: np.ndarray, shape: tuple[int, ...], stride: int = 1
) -> int:
    w = b.constant(weights.astype(np.int8), scales=[0.02] * len(weights), axis=0)
    c = b.constant(np.zeros(len(weights), np.int32), scales=[0.002] * len(weights))
    options = Conv2DOptions(Padding.SAME, stride, stride, Activation.NONE, 1, 1)
    inputs = [x, w, c]
    return b.op("CONV_2D", inputs, options, shape=shape, scale=0.1, zero_point=-128, version=3)


def _weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(1, 100, shape)


def _two_layers(dead: tuple[int, ...]) -> Graph:
    """Eight filters, some of them dead, a second convolution that reads them, and a reshape."""
    b = GraphBuilder("two_layers")
    x = b.input((1, 5, 5, 4), 0.1, 3)
    first = _weights(8, 1, 1, 4)
    first[list(dead)] = 0
    y = _conv(b, x, first, (1, 5, 5, 8))
    z = _conv(b, y, _weights(4, 1, 1, 8), (1, 5, 5, 4))
    b.output(b.op("RESHAPE", [z], None, shape=(1, 100), scale=0.1, zero_point=-128))
    return b.graph()


def test_each_pass_says_what_it_changed_and_saved(tmp_path: Path) -> None:
    figures = build(int8_model(_two_layers((1, 3, 4, 6))), tmp_path / "aot").figures
    dead, reshape = figures["passes"]
    assert (dead["name"], dead["operators"]) == ("dead_channels", 2)
    assert "left out 4 filters" in dead["text"]
    assert dead["macs"] == 25 * (4 * 4 + 4 * 4)
    assert figures["macs"] == 25 * (4 * 4 + 4 * 4)
    # Weights of both layers, and what each filter's sums start with; all share one factor.
    assert dead["weights_bytes"] == 4 * 4 + 4 * 4 + 4 * 4
    assert dead["arena_bytes"] >= 0
    assert (reshape["name"], reshape["operators"]) == ("alias_reshapes", 1)
    assert "RESHAPE of 100 elements" in reshape["text"]
    assert (reshape["macs"], reshape["weights_bytes"]) == (0, 0)


@pytest.mark.parametrize("isa", [Isa.SCALAR, Isa.DSP])
def test_what_is_generated_and_what_was_saved_add_up(isa: Isa, tmp_path: Path) -> None:
    smaller = build(int8_model(_two_layers((1, 3, 4, 6))), tmp_path / "smaller", isa).figures
    whole = build(int8_model(_two_layers(())), tmp_path / "whole", isa).figures
    for figure in ("macs", "weights_bytes"):
        saved = sum(one[figure] for one in smaller["passes"])
        assert saved > 0
        assert smaller[figure] + saved == whole[figure]


def test_operators_in_parts_are_listed_with_the_arena_that_they_saved(tmp_path: Path) -> None:
    b = GraphBuilder("wide")
    x = b.input((1, 24, 24, 3), 0.1, -5)
    y = _conv(b, x, _weights(8, 3, 3, 3), (1, 12, 12, 8), 2)
    b.output(_conv(b, y, _weights(16, 1, 1, 8), (1, 12, 12, 16)))
    figures = build(int8_model(b.graph()), tmp_path / "aot").figures
    (splitting,) = figures["passes"]
    assert (splitting["name"], splitting["operators"]) == ("splitting", 1)
    assert "parts, bottom rows first" in splitting["text"]
    # Input, output and scratch of the first layer, but for two rows of output ahead of the input.
    assert figures["arena_bytes"] + splitting["arena_bytes"] == 1728 + 1152 + 64 - 32


def test_nothing_is_listed_where_nothing_was_changed(tmp_path: Path) -> None:
    b = GraphBuilder("plain")
    x = b.input((1, 5, 5, 4), 0.1, 3)
    b.output(_conv(b, x, _weights(4, 1, 1, 4), (1, 5, 5, 4)))
    assert build(int8_model(b.graph()), tmp_path / "aot").figures["passes"] == []

"""Operators in parts, bottom rows first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import Conv2DOptions
from device_runners.cgen.isa import Isa
from device_runners.cgen.memory import allocate, plan_memory
from device_runners.cgen.operation import OpContext
from device_runners.cgen.program import Program
from device_runners.cgen.registry import operations
from device_runners.cgen.splitting import alternatives


def _convolution(
    b: GraphBuilder, x: int, shape: tuple[int, ...], weights: tuple[int, ...], stride: int
) -> int:
    rng = np.random.default_rng(sum(weights))
    w = b.constant(rng.integers(-127, 128, weights).astype(np.int8), scales=[0.01])
    bias = b.constant(rng.integers(-99, 99, weights[0]).astype(np.int32), scales=[0.001])
    options = Conv2DOptions(Padding.SAME, stride, stride, Activation.NONE, 1, 1)
    return b.op("CONV_2D", [x, w, bias], options, shape=shape, scale=2.0, zero_point=3, version=3)


def _wide_then_deep() -> Graph:
    """A large image, halved by a convolution, then expanded by a pointwise one.

    The expansion wants its input at the arena's end, where the image lies.
    """
    b = GraphBuilder("wide")
    x = b.input((1, 24, 24, 3), 0.1, -5)
    y = _convolution(b, x, (1, 12, 12, 8), (8, 3, 3, 3), 2)
    z = _convolution(b, y, (1, 12, 12, 16), (16, 1, 1, 8), 1)
    b.output(z)
    return b.graph()


def test_parts_lower_the_peak() -> None:
    graph = _wide_then_deep()
    program = Program(graph)
    emissions = {
        op.index: operations()[op.opcode].emit(OpContext(graph, op)) for op in graph.operators
    }
    whole = allocate(program, emissions)
    chosen, memory = plan_memory(program, emissions)
    assert whole.arena_bytes >= 1728 + 1152
    assert memory.arena_bytes < whole.arena_bytes - 500
    assert [len(chosen[index].calls) > 1 for index in (0, 1)].count(True) == 1


@pytest.mark.parametrize(
    ("isa", "kernel"),
    [(Isa.SCALAR, "conv_2d"), (Isa.DSP, "conv_2d_dsp"), (Isa.MVE, "conv_2d_mve")],
)
def test_parts_compute_the_same(isa: Isa, kernel: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    samples = [[rng.integers(-128, 128, (1, 24, 24, 3)).astype(np.int8)] for _ in range(3)]
    artifacts = assert_every_tensor_equals_reference(_wide_then_deep(), samples, tmp_path, isa=isa)
    source = (artifacts.directory / "wide.c").read_text()
    assert source.count(f"    tidepool_{kernel}(&") > 2


def test_parts_share_the_weights() -> None:
    graph = _wide_then_deep()
    emission = operations()["CONV_2D"].emit(OpContext(graph, graph.operators[0]))
    for other in alternatives(emission):
        assert other.constants == emission.constants
        assert all(
            call.params["channels"] == emission.calls[0].params["channels"] for call in other.calls
        )


def test_batches_are_not_split() -> None:
    b = GraphBuilder("batches")
    x = b.input((2, 8, 8, 3), 0.1, 0)
    b.output(_convolution(b, x, (2, 8, 8, 4), (4, 3, 3, 3), 1))
    graph = b.graph()
    emission = operations()["CONV_2D"].emit(OpContext(graph, graph.operators[0]))
    assert not list(alternatives(emission))

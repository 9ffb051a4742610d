from __future__ import annotations

import numpy as np
import pytest
from floors import QUADS, RATES, floor_of

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import (
    AddOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    Pool2DOptions,
    SoftmaxOptions,
)
from device_runners.cgen import Isa


def graph_of(opcode: str, options: object, shapes: list[tuple[int, ...]]) -> Graph:
    """One operator: the shapes of its input, its weights if it has any, and its output."""
    b = GraphBuilder("floor")
    inputs = [b.input(shapes[0], 0.1, 0)]
    if len(shapes) == 3:
        inputs.append(b.constant(np.ones(shapes[1], np.int8), scales=[0.1]))
    elif opcode == "ADD":
        inputs.append(inputs[0])
    b.output(b.op(opcode, inputs, options, shape=shapes[-1], scale=0.1, zero_point=0))
    return b.graph()


def floor(graph: Graph, macs: int, isa: Isa) -> float | None:
    return floor_of(graph, graph.operators[0], macs, isa)


def depthwise(size: tuple[int, int], stride: int) -> Graph:
    options = DepthwiseConv2DOptions(Padding.SAME, stride, stride, 1, Activation.NONE, 1, 1)
    return graph_of("DEPTHWISE_CONV_2D", options, [(1, 8, 8, 4), (1, *size, 4), (1, 5, 5, 4)])


def dense(rows: int) -> Graph:
    options = FullyConnectedOptions()
    return graph_of("FULLY_CONNECTED", options, [(rows, 128), (16, 128), (rows, 16)])


@pytest.mark.parametrize(
    ("isa", "per_mac", "per_result"),
    [(Isa.SCALAR, 21 / 16, 8), (Isa.DSP, 17 / 24, 3.5), (Isa.MVE, 14 / 128, 2)],
)
def test_convolutions_are_multiply_accumulates_and_results(
    isa: Isa, per_mac: float, per_result: float
) -> None:
    options = Conv2DOptions(Padding.SAME, 1, 1, Activation.NONE, 1, 1)
    graph = graph_of("CONV_2D", options, [(1, 4, 4, 8), (16, 3, 3, 8), (1, 4, 4, 16)])
    macs = 4 * 4 * 16 * 3 * 3 * 8
    assert floor(graph, macs, isa) == pytest.approx(macs * per_mac + 256 * per_result)


@pytest.mark.parametrize(
    ("isa", "per_mac", "per_result"),
    [(Isa.SCALAR, 24 / 16, 8), (Isa.DSP, 27 / 32, 3.5), (Isa.MVE, 17 / 128, 2)],
)
def test_weights_of_a_single_row_serve_once_of_several_rows_more_often(
    isa: Isa, per_mac: float, per_result: float
) -> None:
    assert floor(dense(1), 2048, isa) == pytest.approx(2048 * per_mac + 16 * per_result)
    several = floor(dense(4), 8192, isa)
    rate = (QUADS if isa is Isa.SCALAR else RATES[isa]).convolution
    assert several == pytest.approx(8192 * rate + 64 * per_result)


def test_few_taps_are_cheaper_one_by_one_without_extensions() -> None:
    options = Conv2DOptions(Padding.SAME, 1, 1, Activation.NONE, 1, 1)
    graph = graph_of("CONV_2D", options, [(1, 4, 4, 3), (16, 3, 3, 3), (1, 4, 4, 16)])
    macs = 4 * 4 * 16 * 3 * 3 * 3
    assert floor(graph, macs, Isa.SCALAR) == pytest.approx(macs * 7 / 5 + 256 * 3)


@pytest.mark.parametrize(
    ("isa", "size", "stride", "each"),
    [
        (Isa.SCALAR, (3, 3), 1, 9 + 1),
        (Isa.SCALAR, (3, 3), 2, 9 + 4),
        (Isa.SCALAR, (1, 1), 2, 1 + 1),
        (Isa.DSP, (3, 3), 1, 6),
        (Isa.DSP, (3, 3), 2, 6),
        (Isa.DSP, (5, 2), 1, 5),
        (Isa.MVE, (3, 3), 1, 1 + 1 / 4),  # a 4x4 block
        (Isa.MVE, (3, 3), 2, 1 + 1 / 2),  # 3x5
        (Isa.MVE, (5, 5), 1, 2 + 2),  # 25 taps: two vectors
    ],
)
def test_depthwise_products_of_a_result(
    isa: Isa, size: tuple[int, int], stride: int, each: float
) -> None:
    macs = 100 * size[0] * size[1]
    result = RATES[isa].result
    assert floor(depthwise(size, stride), macs, isa) == pytest.approx(100 * (each + result))


def test_layers_without_products() -> None:
    add = graph_of("ADD", AddOptions(), [(1, 32), (1, 32)])
    assert floor(add, 0, Isa.DSP) == 32 * 6
    options = Pool2DOptions(Padding.VALID, 2, 2, 2, 2, Activation.NONE)
    pool = graph_of("AVERAGE_POOL_2D", options, [(1, 4, 4, 8), (1, 2, 2, 8)])
    assert floor(pool, 0, Isa.MVE) == 128 * 2 / 16 + 32 * 2
    softmax = graph_of("SOFTMAX", SoftmaxOptions(1.0), [(1, 8), (1, 8)])
    assert floor(softmax, 0, Isa.DSP) is None


def test_a_wider_level_is_never_slower() -> None:
    levels = [QUADS, RATES[Isa.DSP], RATES[Isa.MVE]]
    for name in ("convolution", "dense", "addition", "pooled"):
        rates = [getattr(level, name) for level in levels]
        assert rates == sorted(rates, reverse=True)

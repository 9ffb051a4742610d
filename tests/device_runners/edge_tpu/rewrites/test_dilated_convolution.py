from __future__ import annotations

import numpy as np
import pytest
from support.rewriting import (
    all_map,
    assert_every_common_tensor_is_equal,
    opcodes,
    rewritten_by,
    the_pass,
)

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, Padding
from converters.tflite.options import Conv2DOptions, DepthwiseConv2DOptions


def split_up(
    rate: int,
    size: int,
    padding: Padding,
    *,
    side: int = 11,
    depthwise: bool = False,
    shift: int = 0,
) -> Graph:
    """SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND, as TensorFlow writes a dilation.

    ``shift`` moves padding from the end to the start.
    """
    rng = np.random.default_rng(rate * 10 + size)
    b = GraphBuilder("dilated")
    depth, filters = 3, 3 if depthwise else 4
    x = b.input((1, side, side, depth), 0.05, 17)
    reach = rate * (size - 1)
    total = 0 if padding is Padding.VALID else reach
    start = total // 2 + shift
    output = side + total - reach
    rest = -(side + total) % rate
    block = b.constant(np.array([rate, rate], np.int32))
    added = b.constant(np.array([[start, total - start + rest]] * 2, np.int32))
    crops = b.constant(np.array([[0, rest]] * 2, np.int32))
    inner = (side + total + rest) // rate
    batched = (rate * rate, inner, inner, depth)
    x = b.op(
        "SPACE_TO_BATCH_ND",
        [x, block, added],
        None,
        shape=batched,
        scale=0.05,
        zero_point=17,
        version=2,
    )
    shape = (1, size, size, filters) if depthwise else (filters, size, size, depth)
    scales = [float(np.float32(s)) for s in 10 ** rng.uniform(-3, -2, filters)]
    axis = 3 if depthwise else 0
    taps = rng.integers(-127, 128, shape).astype(np.int8)
    weights = b.constant(taps, scales=scales, axis=axis)
    bias = b.constant(
        rng.integers(-999, 999, filters).astype(np.int32), scales=[0.05 * s for s in scales]
    )
    given = (rate * rate, inner - size + 1, inner - size + 1, filters)
    options = DepthwiseConv2DOptions if depthwise else Conv2DOptions
    x = b.op(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        [x, weights, bias],
        options(padding=Padding.VALID),
        shape=given,
        scale=0.2,
        zero_point=-3,
        version=3,
    )
    shape = (1, output, output, filters)
    x = b.op(
        "BATCH_TO_SPACE_ND",
        [x, block, crops],
        None,
        shape=shape,
        scale=0.2,
        zero_point=-3,
        version=2,
    )
    b.output(x)
    return b.graph()


@pytest.mark.parametrize("padding", tuple(Padding))
@pytest.mark.parametrize(("rate", "size"), [(2, 3), (3, 3), (2, 2), (4, 2), (2, 5), (3, 1)])
@pytest.mark.parametrize("depthwise", [False, True])
def test_the_dilated_kernel_gives_the_same(
    padding: Padding, rate: int, size: int, depthwise: bool
) -> None:
    graph = split_up(rate, size, padding, depthwise=depthwise)
    after = rewritten_by("dilated_convolution", graph)
    assert opcodes(after) == [f"{graph.operators[1].opcode} v3"]
    options = after.operators[0].options
    assert isinstance(options, Conv2DOptions | DepthwiseConv2DOptions)
    assert (options.dilation_h_factor, options.dilation_w_factor) == (rate, rate)
    assert_every_common_tensor_is_equal(graph, after, np.random.default_rng(0))
    assert all_map(after)
    assert not all_map(graph)


def test_padding_that_is_neither_of_the_two_stays() -> None:
    assert the_pass("dilated_convolution").run(split_up(2, 3, Padding.SAME, shift=1)) is None

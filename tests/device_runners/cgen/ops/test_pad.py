from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from device_runners.cgen import check

RNG = np.random.default_rng(9)


def pad(
    shape: tuple[int, ...],
    paddings: list[tuple[int, int]],
    *,
    dtype: type[np.generic] = np.int32,
    zero_point: int = -5,
    output_zero_point: int | None = None,
) -> Graph:
    b = GraphBuilder("pad")
    x = b.input(shape, 0.1, zero_point)
    y = b.op(
        "PAD",
        [x, b.constant(np.array(paddings, dtype))],
        None,
        shape=[max(n + sum(pair), 0) for n, pair in zip(shape, paddings, strict=True)],
        scale=0.1,
        zero_point=zero_point if output_zero_point is None else output_zero_point,
        version=2,
    )
    b.output(y)
    return b.graph()


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("shape", "paddings"),
    [
        ((5,), [(2, 3)]),
        ((3, 4), [(1, 0), (0, 2)]),
        ((2, 3, 4, 2), [(0, 0), (1, 1), (1, 1), (0, 0)]),
        ((2, 3, 4, 2), [(1, 2), (3, 0), (0, 1), (2, 1)]),
        ((2, 3, 4, 2), [(0, 0)] * 4),
        ((2, 1, 3, 2, 2), [(1, 1), (0, 2), (2, 0), (1, 0), (0, 1)]),
    ],
)
def test_paddings(
    tmp_path: Path,
    shape: tuple[int, ...],
    paddings: list[tuple[int, int]],
    dtype: type[np.generic],
) -> None:
    graph = pad(shape, paddings, dtype=dtype)
    sample = [RNG.integers(-128, 128, shape).astype(np.int8)]
    assert_every_tensor_equals_reference(graph, [sample], tmp_path)


@pytest.mark.parametrize("zero_point", [-128, 127])
def test_padding_is_the_zero_point(tmp_path: Path, zero_point: int) -> None:
    graph = pad((2, 2), [(1, 1), (1, 1)], zero_point=zero_point)
    sample = [np.zeros((2, 2), np.int8)]
    assert_every_tensor_equals_reference(graph, [sample], tmp_path)


def test_negative_paddings_are_refused() -> None:
    (finding,) = check(pad((4, 4), [(-1, 0), (0, 0)])).blocking
    assert "has the paddings [[-1, 0], [0, 0]]" in finding.message


def test_another_output_zero_point_is_refused() -> None:
    (finding,) = check(pad((4,), [(1, 1)], output_zero_point=3)).blocking
    assert "needs input and output in one quantization" in finding.message


def test_computed_paddings_are_refused() -> None:
    b = GraphBuilder("computed")
    x = b.input((2, 2), 0.1, 0)
    paddings = b.tensor((2, 2), b.graph().tensor(x).type, scales=[0.1])
    b.output(b.op("PAD", [x, paddings], None, shape=(2, 2), scale=0.1, zero_point=0))
    assert "constant ones are supported" in check(b.graph()).blocking[0].message

"""unpack, split_v and subsampling: operators that move bytes, for ones that the Edge TPU has."""

from __future__ import annotations

from dataclasses import replace

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
from converters.tflite.graph import Graph, Operator, TensorType
from converters.tflite.options import SplitVOptions, StridedSliceOptions, UnpackOptions

INT8 = TensorType.INT8


def parts(
    shape: tuple[int, ...],
    shapes: list[tuple[int, ...]],
    opcode: str,
    options: object,
    constants: list[np.ndarray],
) -> Graph:
    """RELU, then an operator with several outputs, all of them the graph's."""
    b = GraphBuilder("parts")
    x = b.op("RELU", [b.input(shape, 0.1, 3)], None, shape=shape, scale=0.1, zero_point=3)
    inputs = [x, *(b.constant(values) for values in constants)]
    outputs = [b.tensor(one, INT8, scales=[0.1], zero_points=[3]) for one in shapes]
    for output in outputs:
        b.output(output)
    graph = b.graph()
    last = Operator(1, opcode, 2, options, tuple(inputs), tuple(outputs))  # type: ignore[arg-type]
    return replace(graph, operators=(*graph.operators, last))


def unpacked(shape: tuple[int, ...], axis: int) -> Graph:
    count = shape[axis]
    rest = tuple(size for i, size in enumerate(shape) if i != axis % len(shape))
    return parts(shape, [rest] * count, "UNPACK", UnpackOptions(count, axis), [])


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 7), (1, 3, 4, 2)])
@pytest.mark.parametrize("axis", [1, -1])
def test_unpack_becomes_slices(shape: tuple[int, ...], axis: int) -> None:
    graph = unpacked(shape, axis)
    after = rewritten_by("unpack", graph)
    assert opcodes(after)[1:] == ["STRIDED_SLICE v2"] * shape[axis]
    assert_every_common_tensor_is_equal(graph, after, np.random.default_rng(0))
    assert all_map(after)
    assert not all_map(graph)


@pytest.mark.parametrize("axis", [1, 3, -1])
def test_a_split_into_unequal_parts_becomes_slices(axis: int) -> None:
    shape, sizes = (1, 6, 6, 6), (1, 3, 2)
    constants = [np.array(sizes, np.int32), np.array(axis, np.int32)]
    shapes = [tuple(size if i == axis % 4 else 6 for i in range(4)) for size in sizes]
    shapes = [(1, *one[1:]) for one in shapes]
    graph = parts(shape, shapes, "SPLIT_V", SplitVOptions(3), constants)
    after = rewritten_by("split_v", graph)
    assert opcodes(after)[1:] == ["SLICE v2"] * 3
    assert_every_common_tensor_is_equal(graph, after, np.random.default_rng(0))
    assert all_map(after)
    assert not all_map(graph)


def sliced(
    begin: tuple[int, ...],
    end: tuple[int, ...],
    strides: tuple[int, ...],
    options: StridedSliceOptions,
    shape: tuple[int, ...] = (1, 7, 6, 3),
) -> Graph:
    b = GraphBuilder("sliced")
    x = b.op("RELU", [b.input(shape, 0.1, 3)], None, shape=shape, scale=0.1, zero_point=3)
    constants = [b.constant(np.array(values, np.int32)) for values in (begin, end, strides)]
    cut = [
        slice(
            None if options.begin_mask >> axis & 1 else begin[axis],
            None if options.end_mask >> axis & 1 else end[axis],
            strides[axis],
        )
        for axis in range(4)
    ]
    given = np.zeros(shape)[tuple(cut)].shape
    y = b.op(
        "STRIDED_SLICE", [x, *constants], options, shape=given, scale=0.1, zero_point=3, version=2
    )
    b.output(y)
    return b.graph()


ALL = StridedSliceOptions(begin_mask=15, end_mask=15)


@pytest.mark.parametrize(
    ("graph", "left"),
    [
        (sliced((0,) * 4, (0,) * 4, (1, 2, 2, 1), ALL), ["MAX_POOL_2D v2"]),
        (sliced((0,) * 4, (0,) * 4, (1, 3, 1, 1), ALL), ["MAX_POOL_2D v2"]),
        (
            sliced((0, 1, 1, 0), (0,) * 4, (1, 2, 2, 1), StridedSliceOptions(9, 15)),
            ["SLICE v2", "MAX_POOL_2D v2"],
        ),
        (
            sliced((0, 1, -4, 0), (1, -1, 99, 2), (1, 2, 3, 1), StridedSliceOptions()),
            ["SLICE v2", "MAX_POOL_2D v2"],
        ),
    ],
)
def test_every_nth_pixel_is_a_pool_of_one_pixel(graph: Graph, left: list[str]) -> None:
    after = rewritten_by("subsampling", graph)
    assert opcodes(after)[1:] == left
    assert_every_common_tensor_is_equal(graph, after, np.random.default_rng(0))
    assert all_map(after)
    assert not all_map(graph)


@pytest.mark.parametrize(
    "graph",
    [
        sliced((0, 1, 1, 0), (1, 5, 5, 3), (1, 1, 1, 1), StridedSliceOptions()),
        sliced((0,) * 4, (0,) * 4, (1, 1, 1, 2), ALL),
        sliced((0, 6, 0, 0), (1, 0, 6, 3), (1, -2, 1, 1), StridedSliceOptions()),
    ],
)
def test_other_slices_stay(graph: Graph) -> None:
    assert the_pass("subsampling").run(graph) is None

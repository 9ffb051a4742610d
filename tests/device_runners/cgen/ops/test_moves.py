"""Ops that only move values, by strides or by tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from converters.tflite.options import (
    GatherOptions,
    Options,
    OtherOptions,
    PackOptions,
    ResizeBilinearOptions,
    ResizeNearestNeighborOptions,
    SpaceToDepthOptions,
    SplitOptions,
    SqueezeOptions,
    StridedSliceOptions,
    UnpackOptions,
)
from device_runners.cgen import check

RNG = np.random.default_rng(31)
Shape = tuple[int, ...]


def moving(
    opcode: str,
    shape: Shape,
    constants: Sequence[object],
    options: Options | None,
    outputs: Sequence[Shape],
    *,
    input_first: bool = True,
    output_scale: float = 0.1,
) -> Graph:
    b = GraphBuilder("moving")
    x = b.input(shape, 0.1, 5)
    operands = [b.constant(np.array(values, np.int32)) for values in constants]
    results = [b.tensor(one, scales=[output_scale], zero_points=[5]) for one in outputs]
    b.operator(opcode, [x, *operands] if input_first else [*operands, x], options, results)
    for result in results:
        b.output(result)
    return b.graph()


def assert_equal(graph: Graph, folder: Path) -> None:
    sample = [RNG.integers(-128, 128, graph.input_tensors[0].shape).astype(np.int8)]
    assert_every_tensor_equals_reference(graph, [sample], folder)


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((3, 5), (1, 0)),
        ((2, 3, 4, 5), (0, 3, 1, 2)),
        ((2, 3, 4, 5), (3, 2, 1, 0)),
        ((2, 1, 3, 2, 1, 4), (5, 0, 3, 1, 2, 4)),
        ((2, 3, 4), (0, 1, -1)),
    ],
)
def test_transpose(tmp_path: Path, shape: Shape, order: Shape) -> None:
    output = tuple(shape[axis] for axis in order)
    assert_equal(moving("TRANSPOSE", shape, [order], None, [output]), tmp_path)


@pytest.mark.parametrize(
    ("shape", "begin", "end", "stride", "masks", "output"),
    [
        ((4, 6), (1, 2), (3, 6), (1, 2), {}, (2, 2)),
        ((4, 6), (0, 5), (4, 0), (2, -2), {}, (2, 3)),
        ((4, 6), (0, 0), (0, 0), (1, -1), {"begin_mask": 3, "end_mask": 3}, (4, 6)),
        ((4, 6), (-3, -100), (-1, 100), (1, 1), {}, (2, 6)),
        ((2, 3, 4, 5), (1,), (2,), (1,), {"shrink_axis_mask": 1}, (3, 4, 5)),
        (
            (2, 3, 4, 5),
            (0, -1),
            (0, 0),
            (1, 1),
            {"ellipsis_mask": 1, "shrink_axis_mask": 2},
            (2, 3, 4),
        ),
        ((3, 4), (0, 0, 1), (0, 3, 3), (1, 2, 1), {"new_axis_mask": 1}, (1, 2, 2)),
        ((6,), (-2,), (0,), (1,), {"shrink_axis_mask": 1}, ()),
    ],
)
def test_strided_slice(
    tmp_path: Path,
    shape: Shape,
    begin: Shape,
    end: Shape,
    stride: Shape,
    masks: dict[str, int],
    output: Shape,
) -> None:
    options = StridedSliceOptions(**masks)
    assert_equal(moving("STRIDED_SLICE", shape, [begin, end, stride], options, [output]), tmp_path)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_split_and_unpack(tmp_path: Path, axis: int) -> None:
    shape = (4, 2, 6)
    part = list(shape)
    part[axis] //= 2
    graph = moving("SPLIT", shape, [[axis]], SplitOptions(2), [tuple(part)] * 2, input_first=False)
    assert_equal(graph, tmp_path / "split")
    rest = tuple(np.delete(shape, axis).tolist())
    graph = moving("UNPACK", shape, [], UnpackOptions(shape[axis], axis), [rest] * shape[axis])
    assert_equal(graph, tmp_path / "unpack")


def test_an_output_that_nobody_reads(tmp_path: Path) -> None:
    b = GraphBuilder("unread")
    x = b.input((2, 3), 0.1, 0)
    parts = [b.tensor((3,), scales=[0.1]) for _ in range(2)]
    b.operator("UNPACK", [x], UnpackOptions(2, 0), parts)
    b.output(b.op("RELU", [parts[1]], None, shape=(3,), scale=0.1, zero_point=0))
    assert_equal(b.graph(), tmp_path)


@pytest.mark.parametrize("opcode", ["SQUEEZE", "EXPAND_DIMS"])
def test_shapes_without_a_copy(tmp_path: Path, opcode: str) -> None:
    b = GraphBuilder("shapes")
    x = b.input((4, 1, 8), 0.1, 0)
    y = b.op("RELU", [x], None, shape=(4, 1, 8), scale=0.1, zero_point=0)
    if opcode == "SQUEEZE":
        operands, options, shape = [y], SqueezeOptions((1,)), (4, 8)
    else:
        operands, options, shape = [y, b.constant(np.array(1, np.int32))], None, (4, 1, 1, 8)
    b.output(b.op(opcode, operands, options, shape=shape, scale=0.1, zero_point=0))
    sample = [RNG.integers(-128, 128, (4, 1, 8)).astype(np.int8)]
    artifacts = assert_every_tensor_equals_reference(b.graph(), [sample], tmp_path)
    assert artifacts.figures["kernels"] == ["rescale"]
    assert artifacts.figures["arena_bytes"] == 32


@pytest.mark.parametrize("mode", [0, 1])
def test_mirror_pad_up_to_its_limit(tmp_path: Path, mode: int) -> None:
    shape = (1, 3, 4, 2)
    most = [[0, 0], [2 + mode, 2 + mode], [3 + mode, 0], [0, 1]]
    output = tuple(size + sum(pair) for size, pair in zip(shape, most, strict=True))
    options = OtherOptions("MirrorPadOptions", (("mode", mode),))
    assert_equal(moving("MIRROR_PAD", shape, [most], options, [output]), tmp_path)
    most[1][0] += 1
    graph = moving("MIRROR_PAD", shape, [most], options, [output])
    assert "more than it can mirror" in check(graph).blocking[0].message


_RESIZES = {
    "RESIZE_BILINEAR": ResizeBilinearOptions,
    "RESIZE_NEAREST_NEIGHBOR": ResizeNearestNeighborOptions,
}


@pytest.mark.parametrize("opcode", _RESIZES)
@pytest.mark.parametrize(("align", "half"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("size", [(8, 10), (3, 17), (1, 1), (4, 5)])
def test_resizing(
    tmp_path: Path, opcode: str, align: bool, half: bool, size: tuple[int, int]
) -> None:
    options = _RESIZES[opcode](align_corners=align, half_pixel_centers=half)
    graph = moving(opcode, (2, 4, 5, 3), [size], options, [(2, *size, 3)])
    assert_equal(graph, tmp_path)


def test_a_resize_that_reads_beyond_the_image_in_the_reference_is_refused() -> None:
    graph = moving(
        "RESIZE_BILINEAR", (1, 1, 1, 1), [(1, 1500)], ResizeBilinearOptions(), [(1, 1, 1500, 1)]
    )
    assert "the reference reads beyond the image" in check(graph).blocking[0].message


@pytest.mark.parametrize(
    ("shape", "block", "paddings", "batches"),
    [
        ((2, 9, 3), [4], [[2, 1]], (8, 3, 3)),  # a signal, as of a dilated Conv1D
        ((2, 5, 6, 5), [3, 2], [[1, 3], [0, 2]], (12, 3, 4, 5)),
        ((1, 4, 4, 4), [2, 2], [[4, 0], [0, 4]], (4, 4, 4, 4)),  # whole blocks of padding
    ],
)
def test_space_to_batch_and_back(
    tmp_path: Path, shape: Shape, block: list[int], paddings: list[list[int]], batches: Shape
) -> None:
    operands = [block, paddings]
    assert_equal(moving("SPACE_TO_BATCH_ND", shape, operands, None, [batches]), tmp_path / "there")
    assert_equal(moving("BATCH_TO_SPACE_ND", batches, operands, None, [shape]), tmp_path / "back")


def test_gather_of_several_dimensions(tmp_path: Path) -> None:
    indices = [[2, 0, 2], [1, 1, 0]]
    graph = moving("GATHER", (2, 3, 4), [indices], GatherOptions(axis=1), [(2, 2, 3, 4)])
    assert_equal(graph, tmp_path)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (moving("TRANSPOSE", (2, 3), [(0, 0)], None, [(2, 2)]), "permutes 2 dimensions by [0, 0]"),
        (moving("SLICE", (4,), [(2,), (3,)], None, [(3,)]), "which is out of range"),
        (
            moving("STRIDED_SLICE", (4,), [(3,), (1,), (1,)], StridedSliceOptions(), [(1,)]),
            "slices nothing of [4]",
        ),
        (
            moving("STRIDED_SLICE", (4,), [(0,), (1,), (0,)], StridedSliceOptions(), [(1,)]),
            "slices from [0] to [1] by [0]",
        ),
        (
            moving("SPLIT", (5,), [[0]], SplitOptions(2), [(2,)] * 2, input_first=False),
            "splits [5] along axis 0 into 2 parts",
        ),
        (moving("SPLIT_V", (5,), [[2, 2], [0]], None, [(2,)] * 2), "splits 5 along axis 0"),
        (moving("UNPACK", (2, 3), [], UnpackOptions(2, 5), [(3,)] * 2), "an axis that it doesn't"),
        (
            moving("UNPACK", (2, 3), [], UnpackOptions(2, 0), [(3,)] * 3),
            "3 outputs, but computes 2",
        ),
        (moving("PACK", (2,), [], PackOptions(1, 4), [(1, 2)]), "an axis that the result doesn't"),
        (moving("TILE", (2,), [(0,)], None, [(2,)]), "tiles [2] by [0]"),
        (moving("TILE", (2,), [(2,)], None, [(5,)]), "has the output shape [5]"),
        (moving("BROADCAST_TO", (2,), [(3,)], None, [(3,)]), "can't broadcast [2] to [3]"),
        (moving("REVERSE_V2", (2,), [(1,)], None, [(2,)]), "reverses the axes [1]"),
        (
            moving("SPACE_TO_DEPTH", (1, 3, 4, 1), [], SpaceToDepthOptions(2), [(1, 1, 2, 4)]),
            "has blocks of 2 in 3x4",
        ),
        (
            moving("SPACE_TO_BATCH_ND", (1, 5, 2), [[2], [[0, 0]]], None, [(2, 2, 2)]),
            "has blocks of (1, 2) in 1x5, the padding included",
        ),
        (
            moving("SPACE_TO_BATCH_ND", (1, 4, 2), [[2, 2], [[0, 0]]], None, [(2, 2, 2)]),
            "has blocks [2, 2] and paddings [[0, 0]] for 3 dimensions",
        ),
        (
            moving("BATCH_TO_SPACE_ND", (4, 2, 2), [[0], [[0, 0]]], None, [(4, 2, 2)]),
            "has blocks [0] and crops [[0, 0]]",
        ),
        (
            moving("BATCH_TO_SPACE_ND", (3, 2, 2), [[2], [[0, 0]]], None, [(1, 4, 2)]),
            "makes blocks of (1, 2) of 3 images",
        ),
        (
            moving("BATCH_TO_SPACE_ND", (4, 2), [[2], [[0, 0]]], None, [(2, 4)]),
            "has an input of 2 dimensions",
        ),
        (moving("GATHER", (3,), [[3]], GatherOptions(), [(1,)]), "gathers indices 3 to 3 of 3"),
        (
            moving("TRANSPOSE", (2, 3), [(1, 0)], None, [(3, 2)], output_scale=0.2),
            "needs input and output in one quantization",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_out_of_range_is_refused(graph: Graph, message: str) -> None:
    assert message in check(graph).blocking[0].message

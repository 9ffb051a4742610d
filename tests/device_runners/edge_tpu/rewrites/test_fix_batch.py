from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.rewriting import all_map, assert_equal, opcodes, rewritten_by, the_pass

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, TensorType
from converters.tflite.options import (
    CastOptions,
    ConcatenationOptions,
    GatherOptions,
    MulOptions,
    OtherOptions,
    PackOptions,
    ReducerOptions,
    ReshapeOptions,
    StridedSliceOptions,
)
from device_runners.edge_tpu.rewrites.fix_batch import batch_findings
from device_runners.edge_tpu.rewrites.reference import oracle

INT32, INT64 = TensorType.INT32, TensorType.INT64
SHAPE_OPTIONS = OtherOptions("ShapeOptions", (("outType", 2),))


class Shapes:
    """A graph of RELU on (batch, 4, 6, 8), and arithmetic on its shape."""

    def __init__(self) -> None:
        self.b = GraphBuilder("shapes")
        x = self.b.input((1, 4, 6, 8), 0.1, 0)
        self.source = self.b.op("RELU", [x], None, shape=(1, 4, 6, 8), scale=0.1, zero_point=0)
        self.shape = self.ints("SHAPE", [self.source], SHAPE_OPTIONS, (4,))

    def ints(
        self,
        opcode: str,
        inputs: list[int],
        options: object,
        shape: tuple[int, ...],
        type: TensorType = INT32,
    ) -> int:
        return self.b.op(
            opcode,
            inputs,
            options,  # type: ignore[arg-type]
            shape=shape,
            scale=1,
            zero_point=0,
            type=type,
        )

    def constant(self, *values: int) -> int:
        return self.b.constant(np.array(values, np.int32))

    def slice(self, start: int) -> int:
        """One size, as a scalar."""
        bounds = [self.constant(start), self.constant(start + 1), self.constant(1)]
        options = StridedSliceOptions(shrink_axis_mask=1)
        return self.ints("STRIDED_SLICE", [self.shape, *bounds], options, ())

    def reshaped(self, sizes: int, shape: tuple[int, ...]) -> Graph:
        """A RESHAPE to computed sizes, in the shape that the converter fills in."""
        last = self.b.op(
            "RESHAPE", [self.source, sizes], None, shape=shape, scale=0.1, zero_point=0
        )
        open_ends = self.b.op("RELU", [last], None, shape=shape, scale=0.1, zero_point=0)
        self.b.output(open_ends)
        graph = self.b.graph()
        tensors = [
            replace(t, quantization=None) if t.type in (INT32, INT64) else t for t in graph.tensors
        ]
        for index in (graph.inputs[0], self.source, last, open_ends):
            signature = (-1, *tensors[index].shape[1:])
            tensors[index] = replace(tensors[index], shape_signature=signature)
        return replace(graph, tensors=tuple(tensors))


def flatten() -> Graph:
    s = Shapes()
    rest = s.b.constant(np.array(192, np.int32))
    sizes = s.ints("PACK", [s.slice(0), rest], PackOptions(2), (2,))
    return s.reshaped(sizes, (1, 192))


def joined() -> Graph:
    s = Shapes()
    bounds = [s.constant(0), s.constant(1), s.constant(1)]
    batch = s.ints("STRIDED_SLICE", [s.shape, *bounds], StridedSliceOptions(begin_mask=1), (1,))
    sizes = s.ints("CONCATENATION", [batch, s.constant(24, 8)], ConcatenationOptions(), (3,))
    return s.reshaped(sizes, (1, 24, 8))


def multiplied() -> Graph:
    s = Shapes()
    both = s.ints("MUL", [s.slice(1), s.slice(2)], MulOptions(), ())
    sizes = s.ints("PACK", [s.slice(0), both, s.slice(3)], PackOptions(3), (3,))
    # The converter doesn't know the product.
    return s.reshaped(sizes, (1, 1, 8))


def gathered() -> Graph:
    s = Shapes()
    some = s.ints("GATHER", [s.shape, s.constant(0, 1, 2)], GatherOptions(), (3,))
    rows = s.ints("REDUCE_PROD", [some, s.constant(0)], ReducerOptions(), ())
    sizes = s.ints("PACK", [rows, s.slice(3)], PackOptions(2), (2,))
    return s.reshaped(sizes, (1, 1))


def cast() -> Graph:
    s = Shapes()
    wide = s.ints("CAST", [s.shape], CastOptions(INT32, INT64), (4,), INT64)
    back = s.ints("CAST", [wide], CastOptions(INT64, INT32), (4,))
    return s.reshaped(back, (1, 4, 6, 8))


CASES = {
    "flatten": (flatten, (1, 192)),
    "joined": (joined, (1, 24, 8)),
    "multiplied": (multiplied, (1, 24, 8)),
    "gathered": (gathered, (24, 8)),
    "cast": (cast, (1, 4, 6, 8)),
}


@pytest.mark.parametrize("name", CASES)
def test_computed_shapes_become_constants(name: str) -> None:
    make, shape = CASES[name]
    graph = make()
    after = rewritten_by("fix_batch", graph)
    assert opcodes(after) == ["RELU v1", "RESHAPE v1", "RELU v1"]
    reshape = after.operators[1]
    assert after.tensor(reshape.inputs[1]).is_constant
    assert reshape.options == ReshapeOptions(shape)
    assert after.output_tensors[0].shape == after.output_tensors[0].shape_signature == shape
    sample = [np.random.default_rng(0).integers(-128, 128, (1, 4, 6, 8)).astype(np.int8)]
    assert_equal(oracle(graph).run(sample), oracle(after).run(sample))
    assert all_map(after)
    assert not all_map(graph)


def test_shapes_that_come_from_computed_ones() -> None:
    """Behind a reshape that the converter knew nothing of, its sizes are placeholders."""
    graph = gathered()
    last = graph.outputs[0]
    b_shape, sizes = len(graph.tensors), len(graph.tensors) + 1
    tensors = (
        *graph.tensors,
        replace(graph.tensors[last], index=b_shape, type=INT32, shape=(2,), quantization=None),
        replace(graph.tensors[last], index=sizes, name="end", shape=(1, 1)),
    )
    count = len(graph.operators)
    reshape = graph.operators[-2]
    operators = (
        *graph.operators,
        replace(graph.operators[1], index=count, inputs=(last,), outputs=(b_shape,)),
        replace(reshape, index=count + 1, inputs=(last, b_shape), outputs=(sizes,)),
    )
    assert operators[count].opcode == "SHAPE"
    deep = replace(graph, tensors=tensors, operators=operators, outputs=(sizes,))
    after = rewritten_by("fix_batch", deep)
    assert [op.opcode for op in after.operators] == ["RELU", "RESHAPE", "RELU", "RESHAPE"]
    assert after.tensor(sizes).shape == (24, 8)


def test_an_open_batch_alone_is_harmless_and_stays() -> None:
    b = GraphBuilder("open")
    b.output(b.op("RELU", [b.input((1, 4), 0.1, 0)], None, shape=(1, 4), scale=0.1, zero_point=0))
    graph = b.graph()
    open_ends = tuple(replace(tensor, shape_signature=(-1, 4)) for tensor in graph.tensors)
    assert the_pass("fix_batch").run(replace(graph, tensors=open_ends)) is None


def test_the_note_counts_the_open_shapes() -> None:
    change = the_pass("fix_batch").run(flatten())
    assert change is not None
    assert change.note == "4 tensors had an open shape"
    assert all(t.shape_signature in ((), t.shape) for t in change.graph.tensors)
    assert [text.split()[0] for text in change.operators] == ["SHAPE", "STRIDED_SLICE", "PACK"]


def test_a_shape_that_depends_on_data_stays() -> None:
    """WHERE gives as many rows as there are zeros: no constant can stand for its shape."""
    b = GraphBuilder("data")
    x = b.input((1, 8), 0.1, 0, TensorType.BOOL)
    where = b.op("WHERE", [x], None, shape=(1, 2), scale=1, zero_point=0, type=INT64)
    shape = b.op("SHAPE", [where], SHAPE_OPTIONS, shape=(2,), scale=1, zero_point=0, type=INT32)
    again = b.op("RESHAPE", [where, shape], None, shape=(1, 2), scale=1, zero_point=0, type=INT64)
    b.output(again)
    graph = b.graph()
    bare = tuple(replace(t, quantization=None) for t in graph.tensors)
    assert the_pass("fix_batch").run(replace(graph, tensors=bare)) is None


def test_without_open_shapes_there_is_nothing_to_do() -> None:
    after = rewritten_by("fix_batch", flatten())
    assert the_pass("fix_batch").run(after) is None


def closed(shape: tuple[int, ...], signature: tuple[int, ...]) -> Graph:
    b = GraphBuilder("input")
    b.output(b.op("RELU", [b.input(shape, 0.1, 0)], None, shape=shape, scale=0.1, zero_point=0))
    graph = b.graph()
    source = replace(graph.tensors[0], shape_signature=signature)
    return replace(graph, tensors=(source, *graph.tensors[1:]))


def test_an_image_of_unknown_size_is_named() -> None:
    (finding,) = batch_findings(closed((1, 1, 1, 3), (-1, -1, -1, 3)))
    assert "(?, ?, ?, 3)" in finding.message
    assert finding.blocking
    assert "real size" in finding.hint


def test_a_batch_of_images_is_named() -> None:
    (finding,) = batch_findings(closed((8, 4, 4, 3), (8, 4, 4, 3)))
    assert "a batch of 8" in finding.message
    assert not finding.blocking


@pytest.mark.parametrize(
    ("shape", "signature"),
    [((1, 4, 4, 3), (-1, 4, 4, 3)), ((1, 4, 4, 3), (1, 4, 4, 3)), ((8, 10), (8, 10)), ((), ())],
)
def test_a_single_sample_is_fine(shape: tuple[int, ...], signature: tuple[int, ...]) -> None:
    assert batch_findings(closed(shape, signature)) == ()

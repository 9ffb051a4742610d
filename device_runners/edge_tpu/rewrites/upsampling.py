"""Replaces nearest-neighbor upsampling made of TILE by RESIZE_NEAREST_NEIGHBOR.

Keras 3's UpSampling2D repeats rows and columns by EXPAND_DIMS or RESHAPE, TILE and RESHAPE. TILE on
int8 is version 3, which the compiler's TFLite can't read: it refuses the whole file. A TILE that
maps (version 1, on uint8) stays.

Exact: the operators only move bytes. Where each element of the output comes from is worked out and
compared with the resize, element by element, before it takes their place; the kernel's float32
arithmetic for the position of a row or column is checked with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import Array, Graph, Operator, Tensor, TensorType
from converters.tflite.options import ResizeNearestNeighborOptions
from device_runners.edge_tpu.operands import EIGHT_BIT, integers
from device_runners.edge_tpu.rewrites.edit import GraphEdit, reshape
from device_runners.edge_tpu.rewrites.edit import operator as new_operator
from device_runners.edge_tpu.rules import broken_rule
from device_runners.edge_tpu.versions import accepts

_REPEATS = frozenset({"BROADCAST_TO", "TILE"})
_RESHAPES = frozenset({"EXPAND_DIMS", "RESHAPE", "SQUEEZE"})


def match(graph: Graph, operator: Operator) -> bool:
    """The end of a chain of repetitions and reshapes that enlarges an image by whole factors."""
    return _source(graph, operator) is not None


def transform(graph: Graph, operator: Operator) -> Graph:
    """One resize from the start of the chain to its end."""
    source, output = _source(graph, operator), graph.outputs_of(operator)[0]
    assert source is not None
    before, after = _image(source), _image(output)
    edit = GraphEdit(graph)
    start, end = source.index, output.index
    operators: list[Operator] = []
    if before != source.shape:
        start = edit.like(source, "image", shape=before)
        operators.append(reshape(edit, source.index, start, before, output.name))
    if after != output.shape:
        end = edit.like(output, "image", shape=after)
    size = edit.constant(f"{output.name}/size", np.array(after[1:3], np.int32))
    options = ResizeNearestNeighborOptions()
    version = 1 if source.type is TensorType.UINT8 else 2
    operators.append(
        new_operator("RESIZE_NEAREST_NEIGHBOR", version, options, [start, size], [end])
    )
    if after != output.shape:
        operators.append(reshape(edit, end, output.index, output.shape, output.name))
    edit.replace(operator, *operators)
    return edit.graph()


def _source(graph: Graph, operator: Operator) -> Tensor | None:
    """The earliest tensor of which the operator's output is an enlargement."""
    output = graph.outputs_of(operator)[0] if operator.outputs else None
    if output is None or len(output.shape) not in (3, 4) or output.type not in EIGHT_BIT:
        return None
    found: Tensor | None = None
    chain: list[Operator] = []
    for op in _upwards(graph, operator):
        chain.insert(0, op)
        source = graph.tensors[op.inputs[0]]
        if (
            any(one.opcode in _REPEATS and not _maps(graph, one) for one in chain)
            and len(source.shape) in (3, 4)
            and source.quantization == output.quantization
            and _enlarges(graph, chain, source, output)
        ):
            found = source
    return found


def _maps(graph: Graph, op: Operator) -> bool:
    return accepts(op.opcode, op.version) and broken_rule(graph, op) is None


def _upwards(graph: Graph, operator: Operator) -> Iterator[Operator]:
    """The operator and those before it, as long as they only move an image's bytes."""
    op: Operator | None = operator
    while op is not None and _moves_bytes(graph, op):
        yield op
        op = graph.producer(op.inputs[0])


def _moves_bytes(graph: Graph, op: Operator) -> bool:
    if op.opcode in _REPEATS:
        return integers(graph, op, 1) is not None
    if op.opcode == "RESIZE_NEAREST_NEIGHBOR":
        return op.options == ResizeNearestNeighborOptions()
    return op.opcode in _RESHAPES


def _enlarges(graph: Graph, chain: list[Operator], source: Tensor, output: Tensor) -> bool:
    before, after = _image(source), _image(output)
    if before[0] != 1 or (before[0], before[3]) != (after[0], after[3]):
        return False
    if any(large % small for small, large in zip(before[1:3], after[1:3], strict=True)):
        return False
    moved = np.arange(source.elements, dtype=np.int32).reshape(source.shape)
    expected = moved.reshape(before)
    for op in chain:
        moved = _moved(graph, op, moved)
    for axis in (1, 2):
        expected = expected[(slice(None),) * axis + (_nearest(before[axis], after[axis]),)]
        repeated = np.repeat(np.arange(before[axis]), after[axis] // before[axis])
        if not np.array_equal(_nearest(before[axis], after[axis]), repeated):
            return False
    return np.array_equal(moved.reshape(-1), expected.reshape(-1))


def _moved(graph: Graph, op: Operator, values: Array) -> Array:
    shape = graph.outputs_of(op)[0].shape
    if op.opcode == "TILE":
        return np.tile(values, integers(graph, op, 1) or ())
    if op.opcode == "BROADCAST_TO":
        return np.broadcast_to(values, shape)
    if op.opcode == "RESIZE_NEAREST_NEIGHBOR":
        rows = _nearest(values.shape[1], shape[1])
        columns = _nearest(values.shape[2], shape[2])
        enlarged: Array = values[:, rows][:, :, columns]
        return enlarged
    return values.reshape(shape)


def _nearest(before: int, after: int) -> Array:
    """Where the reference kernel takes each row (or column) from (``GetNearestNeighbor``)."""
    scale = np.float32(before) / np.float32(after)
    positions = np.floor(np.arange(after, dtype=np.float32) * scale).astype(np.int64)
    clamped: Array = np.minimum(positions, before - 1)
    return clamped


def _image(tensor: Tensor) -> tuple[int, ...]:
    """The shape as batch, rows, columns, channels; a sequence is an image of one row."""
    return tensor.shape if len(tensor.shape) == 4 else (tensor.shape[0], 1, *tensor.shape[1:])

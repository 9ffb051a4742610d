"""Fixes the batch at 1: shapes that the converter left open become constants.

A Keras model with the batch None converts to SHAPE, STRIDED_SLICE and PACK (or CONCATENATION, MUL,
GATHER, REDUCE_PROD) in front of every RESHAPE, TRANSPOSE_CONV and upsampling; the compiler takes
static shapes only and refuses the whole file. The operators that depend on constants and on static
shapes alone are replaced by what they give, the shapes behind them are filled in.

Exact: the values are those that the reference kernels compute for the batch that the file's own
shapes state, 1; no operator on data is touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Graph, Operator, Tensor, TensorType
from converters.tflite.options import ReshapeOptions
from device_runners.edge_tpu.rewrites.change import Change, described
from device_runners.edge_tpu.rewrites.edit import GraphEdit
from device_runners.edge_tpu.rewrites.reference import evaluated, static_shapes
from device_runners.runner import Finding

# They give something else at every run.
_IMPURE = frozenset({"MULTINOMIAL", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM"})
_OPAQUE = frozenset({TensorType.STRING, TensorType.RESOURCE, TensorType.VARIANT})
# Floats of this many elements take part in shape arithmetic; more are weights, and small in
# the file because they are packed.
_FEW = 64


def match(graph: Graph) -> bool:
    """Whether a shape is open, or an operator depends on constants and shapes only."""
    return any(map(_is_open, graph.tensors)) or bool(_foldable(graph, _shapes_from_file(graph)))


def transform(graph: Graph) -> Change:
    """Folds what can be folded, until nothing more can, and closes the shapes.

    A graph whose shapes are open in the file, but the ones that the file fills in, stays as it is:
    the compiler goes by these.
    """
    before, gone = graph, dict[int, str]()
    while True:
        shapes = _shapes(graph)
        graph = _with_shapes(graph, shapes)
        folded = _foldable(graph, shapes)
        if not folded:
            break
        gone |= {op.outputs[0]: described(before, op) for op in folded}
        graph = _fold(graph, folded)
    if not gone and [t.shape for t in graph.tensors] == [t.shape for t in before.tensors]:
        return Change(before, ())
    closed = sum(map(_is_open, before.tensors)) - sum(map(_is_open, graph.tensors))
    note = f"{closed} tensors had an open shape" if closed else ""
    return Change(graph, tuple(gone[output] for output in sorted(gone)), note)


def batch_findings(graph: Graph) -> tuple[Finding, ...]:
    """What no rewrite can cure: inputs of an open size, or of several images at once."""
    found: list[Finding] = []
    for tensor in graph.input_tensors:
        signature = tensor.shape_signature or tensor.shape
        sizes = zip(tensor.shape[1:], signature[1:], strict=True)
        text = ", ".join("?" if size < 0 else str(size) for size in signature)
        if any(written < 0 and size == 1 for size, written in sizes):
            found.append(
                Finding(
                    f"the input '{tensor.name}' has an open size ({text}), which the file fills "
                    "with 1",
                    "convert the model with the input's real size: the Edge TPU takes static "
                    "shapes only",
                    tensor=tensor.name,
                )
            )
        elif len(tensor.shape) > 3 and tensor.shape[0] > 1:
            found.append(
                Finding(
                    f"the input '{tensor.name}' is a batch of {tensor.shape[0]}: no operator on "
                    "it maps",
                    "convert the model with batch 1, and call it once for each sample",
                    tensor=tensor.name,
                    blocking=False,
                )
            )
    return tuple(found)


def _is_open(tensor: Tensor) -> bool:
    return tensor.shape_signature not in ((), tensor.shape)


def _shapes_from_file(graph: Graph) -> dict[int, tuple[int, ...]]:
    return {tensor.index: tensor.shape for tensor in graph.tensors}


def _shapes(graph: Graph) -> dict[int, tuple[int, ...]]:
    """The shapes of the tensors of which it is known; the file's may be placeholders."""
    ready = {i: t.shape for i, t in enumerate(graph.tensors) if t.is_constant or i in graph.inputs}
    try:
        return ready | static_shapes(graph)
    except TidepoolError:
        return ready  # the interpreter lacks an op: preflight says what the compiler makes of it


def _with_shapes(graph: Graph, shapes: Mapping[int, tuple[int, ...]]) -> Graph:
    stale = [
        index
        for index, shape in shapes.items()
        if graph.tensors[index].shape != shape or _is_open(graph.tensors[index])
    ]
    if not stale:
        return graph
    edit = GraphEdit(graph)
    for index in stale:
        edit.change(index, shape=shapes[index], shape_signature=shapes[index])
    return edit.graph()


def _foldable(graph: Graph, shapes: Mapping[int, tuple[int, ...]]) -> list[Operator]:
    """Operators that depend on constants, or on known shapes, only; in order."""
    constants = {tensor.index for tensor in graph.tensors if tensor.is_constant} | {-1}
    found: list[Operator] = []
    for op in graph.operators:
        if not set(graph.outputs).isdisjoint(op.outputs):
            continue  # an output has to be computed
        shape_of_known = op.opcode == "SHAPE" and op.inputs[0] in shapes
        if shape_of_known or (constants.issuperset(op.inputs) and _can_fold(graph, op)):
            constants.update(op.outputs)
            found.append(op)
    return found


def _can_fold(graph: Graph, op: Operator) -> bool:
    if op.custom_code or op.opcode in _IMPURE or not op.inputs or not op.outputs:
        return False
    given = sum(graph.tensors[index].elements for index in op.inputs if index >= 0)
    return all(
        tensor.type not in _OPAQUE
        and tensor.elements <= (_FEW if tensor.type.is_float else max(_FEW, given))
        for tensor in graph.outputs_of(op)
    )


def _fold(graph: Graph, operators: list[Operator]) -> Graph:
    """Makes constants of what operators give, and static reshapes of those that read them."""
    edit = GraphEdit(graph)
    values = evaluated(graph, operators)
    for op in operators:
        edit.replace(op)
    for index, value in values.items():
        constant = np.ascontiguousarray(value).reshape(value.shape)
        constant.flags.writeable = False
        edit.change(index, data=constant, shape=value.shape, shape_signature=value.shape)
    for op in graph.operators:
        if op.opcode == "RESHAPE" and op.inputs[-1] in values and op not in operators:
            shape = tuple(int(size) for size in values[op.inputs[-1]])
            edit.replace(op, replace(op, options=ReshapeOptions(shape)))
    return edit.graph()

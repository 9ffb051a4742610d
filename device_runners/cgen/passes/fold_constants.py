"""Operators whose result is known ahead of time become constants.

That are those that read nothing but constants, and SHAPE and RANK of a tensor: shapes are static
here. The reference interpreter computes them, so the result is exact for every op, also for those
that the code generator lacks. An operator that it has stays, if its result takes more bytes than
what it reads: constants are flash.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Array, Graph, Operator, Tensor, TensorType
from converters.tflite.writer import write_graph
from device_runners.cgen.operation import OpContext
from device_runners.cgen.program import Program, Saving
from device_runners.cgen.registry import operations
from device_runners.host.oracle import Oracle

_SHAPES_ONLY = frozenset(("RANK", "SHAPE"))
_FURTHER = frozenset(("CAST", "FILL", "FLOOR_DIV", "RANGE", "REDUCE_PROD", *_SHAPES_ONLY))
"""Beside the ops of the code generator: their results depend on nothing but their inputs."""


def match(program: Program, operator: Operator) -> bool:
    """One that the interpreter can compute; the graph's outputs stay computed."""
    return _results(program.graph, operator) is not None


def transform(program: Program, operator: Operator) -> Program:
    """Makes the outputs constants, and removes the operator."""
    graph = program.graph
    results = _results(graph, operator)
    assert results is not None
    tensors = list(graph.tensors)
    for output, data in zip(operator.outputs, results, strict=True):
        tensors[output] = replace(tensors[output], data=data)
    others = [other for other in graph.operators if other is not operator]
    operators = tuple(replace(other, index=index) for index, other in enumerate(others))
    elements = sum(data.size for data in results)
    text = f"{operator.opcode} of {elements} elements was computed ahead of time"
    return replace(
        program,
        graph=replace(graph, tensors=tuple(tensors), operators=operators),
        folded=(*program.folded, *operator.outputs),
        savings=(*program.savings, Saving("fold_constants", text, 1)),
    )


@lru_cache(maxsize=64)
def _results(graph: Graph, operator: Operator) -> tuple[Array, ...] | None:
    """The values of an operator's outputs, or None if it is to be computed at run time."""
    if not _is_known(graph, operator) or set(operator.outputs) & set(graph.outputs):
        return None
    if _would_grow(graph, operator) and _is_supported(graph, operator):
        return None
    return _computed(graph, operator)


def _is_known(graph: Graph, operator: Operator) -> bool:
    operands = [tensor for tensor in graph.inputs_of(operator) if tensor is not None]
    if operator.opcode in _SHAPES_ONLY:
        return bool(operands)
    pure = operator.opcode in _FURTHER or operator.opcode in operations()
    return pure and bool(operands) and all(tensor.is_constant for tensor in operands)


def _would_grow(graph: Graph, operator: Operator) -> bool:
    read = sum(tensor.bytes for tensor in graph.inputs_of(operator) if tensor is not None)
    return sum(tensor.bytes for tensor in graph.outputs_of(operator)) > read


def _is_supported(graph: Graph, operator: Operator) -> bool:
    operation = operations().get(operator.opcode)
    return operation is not None and not any(operation.check(OpContext(graph, operator)))


def _computed(graph: Graph, operator: Operator) -> tuple[Array, ...] | None:
    """Runs the operator by itself; None if the interpreter can't, or gives other tensors."""
    operands = [tensor for tensor in graph.inputs_of(operator) if tensor is not None]
    used = {tensor.index: tensor for tensor in (*operands, *graph.outputs_of(operator))}
    computed = [tensor for tensor in operands if tensor.data is None]
    single = Graph(
        "single",
        tensors=tuple(
            replace(used[index], shape_signature=()) if index in used else _unused(index)
            for index in range(len(graph.tensors))
        ),
        operators=(replace(operator, index=0),),
        inputs=tuple(tensor.index for tensor in computed),
        outputs=operator.outputs,
    )
    zeros = [np.zeros(tensor.shape, tensor.type.dtype) for tensor in computed]
    try:
        results = Oracle(write_graph(single)).run(zeros)
    except TidepoolError:
        return None
    for tensor, data in zip(graph.outputs_of(operator), results, strict=True):
        if data.shape != tensor.shape or data.dtype != tensor.type.dtype:
            return None
    return tuple(results)


def _unused(index: int) -> Tensor:
    """Keeps a tensor's place, without its data."""
    return Tensor(index, "unused", (), TensorType.INT8)

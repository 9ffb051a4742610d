"""The reference interpreter on parts of a graph: to fold constants and to learn static shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Array, Graph, Operator
from converters.tflite.writer import write_graph
from device_runners.edge_tpu.operands import computes_its_shape
from device_runners.edge_tpu.rewrites.edit import compact
from device_runners.host.oracle import Oracle

# TILE has had its int8 kernel since version 3, but the reference resolver registers version 1
# only: the code behind both is the same.
_REGISTERED = {"TILE": 1}


def executable(graph: Graph) -> Graph:
    """The same graph with the op versions that the reference interpreter registers."""
    if not any(op.opcode in _REGISTERED for op in graph.operators):
        return graph
    operators = (
        replace(op, version=_REGISTERED.get(op.opcode, op.version)) for op in graph.operators
    )
    return replace(graph, operators=tuple(operators))


def oracle(graph: Graph, *, all_tensors: bool = False) -> Oracle:
    """The reference interpreter of a graph.

    Raises:
        TidepoolError: It refuses the graph.
    """
    return Oracle(write_graph(executable(graph)), all_tensors=all_tensors)


def evaluated(graph: Graph, operators: Sequence[Operator]) -> dict[int, Array]:
    """What operators give that depend on constants and shapes only.

    Args:
        graph: The graph.
        operators: Some of its operators, in order; their inputs are constants or each other's
            outputs, those of SHAPE any tensor whose shape is known.

    Returns:
        Index of an output -> its value, in the shape that it has in fact.

    Raises:
        TidepoolError: The reference interpreter refuses them.
    """
    renumbered = tuple(replace(op, index=index) for index, op in enumerate(operators))
    outputs = tuple(output for op in operators for output in op.outputs)
    read = dict.fromkeys(i for op in operators for i in op.inputs if i >= 0 and i not in outputs)
    inputs = tuple(index for index in read if not graph.tensors[index].is_constant)
    part = replace(graph, operators=renumbered, inputs=inputs, outputs=outputs)
    part = compact(part)
    zeros = [np.zeros(tensor.shape, tensor.type.dtype) for tensor in part.input_tensors]
    return dict(zip(outputs, oracle(part).run(zeros), strict=True))


def static_shapes(graph: Graph) -> dict[int, tuple[int, ...]]:
    """The shapes that tensors have in fact, as far as they can be told without running the graph.

    The converter writes 1 for a dimension that it doesn't know. An interpreter works out the real
    ones when it allocates the tensors, up to the first operator with a dynamic output. It isn't
    the reference, which lacks some ops: shapes don't depend on how a kernel rounds.

    Returns:
        Index of an operator's output -> its shape.

    Raises:
        TidepoolError: The interpreter refuses the graph.
    """
    known = _known_ops(graph)
    part = replace(graph, operators=known, outputs=_ends(graph, known))
    interpreter = _allocated(write_graph(part))
    shapes: dict[int, tuple[int, ...]] = {}
    for op, following in zip(known, (*known[1:], None), strict=True):
        if computes_its_shape(graph, op) or (following and not _is_there(interpreter, following)):
            break  # what comes after the first dynamic operator has not been prepared
        for output in op.outputs:
            shapes[output] = tuple(int(size) for size in interpreter.get_tensor(output).shape)
    return shapes


def _allocated(content: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise TidepoolError(f"the interpreter refuses the model: {error}") from error
    return interpreter


def _is_there(interpreter: Any, operator: Operator) -> bool:
    try:
        for output in operator.outputs:
            interpreter.get_tensor(output)
    except ValueError:
        return False
    return True


def _known_ops(graph: Graph) -> tuple[Operator, ...]:
    """The operators before, or beside, ops of others: the interpreter has no kernels for those."""
    missing = {output for op in graph.operators if op.custom_code for output in op.outputs}
    known: list[Operator] = []
    for op in graph.operators:
        if op.custom_code or not missing.isdisjoint(op.inputs):
            missing.update(op.outputs)
        else:
            known.append(replace(op, index=len(known)))
    return tuple(known)


def _ends(graph: Graph, operators: Sequence[Operator]) -> tuple[int, ...]:
    written = {output for op in operators for output in op.outputs}
    read = {tensor for op in operators for tensor in op.inputs}
    return tuple(sorted(written - read)) or tuple(set(graph.outputs) & set(graph.inputs))

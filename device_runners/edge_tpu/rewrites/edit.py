"""Edits a graph: tensors are only ever appended, so that their indices stay what they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters.tflite.graph import (
    Array,
    Graph,
    Operator,
    OperatorCode,
    Quantization,
    Tensor,
    TensorType,
)
from converters.tflite.options import Options, ReshapeOptions


class GraphEdit:
    """Collects changes to a graph; ``graph()`` gives the changed one.

    Operators that nobody reads any more are dropped then, and the table of operator codes follows
    the operators. Tensors without a use stay, until ``compact``.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._tensors = list(graph.tensors)
        self._names = {tensor.name for tensor in graph.tensors}
        self._operators: dict[int, tuple[Operator, ...]] = {
            op.index: (op,) for op in graph.operators
        }

    def like(self, tensor: Tensor, suffix: str, **changes: Any) -> int:
        """Appends a computed tensor like another one, named after it."""
        shape = changes.get("shape", tensor.shape)
        return self._append(
            replace(
                tensor,
                **{
                    "name": self._unique(f"{tensor.name}/{suffix}"),
                    "data": None,
                    "shape_signature": shape,
                    **changes,
                },
            )
        )

    def constant(self, name: str, data: Array, quantization: Quantization | None = None) -> int:
        """Appends a constant whose type follows the array's dtype."""
        array = np.ascontiguousarray(data).reshape(data.shape)
        array.flags.writeable = False
        type_ = TensorType(array.dtype.name.upper())
        shape = array.shape
        unique = self._unique(name)
        return self._append(Tensor(-1, unique, shape, type_, quantization, array, shape))

    def change(self, index: int, **changes: Any) -> None:
        """Changes a tensor in place."""
        self._tensors[index] = replace(self._tensors[index], **changes)

    def replace(self, operator: Operator, *others: Operator) -> None:
        """Puts operators in the place of one; none removes it."""
        self._operators[operator.index] = others

    def graph(
        self, *, inputs: Sequence[int] | None = None, outputs: Sequence[int] | None = None
    ) -> Graph:
        """The changed graph.

        Args:
            inputs: Other inputs than the old graph's.
            outputs: Other outputs than the old graph's.
        """
        ends = self._graph.outputs if outputs is None else tuple(outputs)
        sequence = [op for index in sorted(self._operators) for op in self._operators[index]]
        operators = tuple(
            replace(op, index=index) for index, op in enumerate(_alive(sequence, ends))
        )
        return replace(
            self._graph,
            tensors=tuple(self._tensors),
            operators=operators,
            inputs=self._graph.inputs if inputs is None else tuple(inputs),
            outputs=ends,
            operator_codes=_codes(self._graph, operators),
        )

    def _append(self, tensor: Tensor) -> int:
        index = len(self._tensors)
        self._tensors.append(replace(tensor, index=index))
        return index

    def _unique(self, name: str) -> str:
        candidate, number = name, 2
        while candidate in self._names:
            candidate, number = f"{name}_{number}", number + 1
        self._names.add(candidate)
        return candidate


def operator(
    opcode: str,
    version: int,
    options: Options | None,
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> Operator:
    """An operator for ``GraphEdit.replace``; its index is given to it when the edit ends."""
    return Operator(-1, opcode, version, options, tuple(inputs), tuple(outputs))


def reshape(edit: GraphEdit, source: int, output: int, shape: Sequence[int], name: str) -> Operator:
    """A RESHAPE to a constant shape."""
    constant = edit.constant(f"{name}/shape", np.array(shape, np.int32))
    return operator("RESHAPE", 1, ReshapeOptions(tuple(shape)), [source, constant], [output])


def compact(graph: Graph) -> Graph:
    """The graph without the tensors that no operator, input or output refers to."""
    used = {*graph.inputs, *graph.outputs}
    for op in graph.operators:
        used.update(op.inputs, op.outputs, op.intermediates)
    used.discard(-1)
    if len(used) == len(graph.tensors):
        return graph
    kept = sorted(used)
    new = {-1: -1} | {index: position for position, index in enumerate(kept)}
    return replace(
        graph,
        tensors=tuple(replace(graph.tensors[index], index=new[index]) for index in kept),
        operators=tuple(
            replace(
                op,
                inputs=tuple(new[i] for i in op.inputs),
                outputs=tuple(new[i] for i in op.outputs),
                intermediates=tuple(new[i] for i in op.intermediates),
            )
            for op in graph.operators
        ),
        inputs=tuple(new[index] for index in graph.inputs),
        outputs=tuple(new[index] for index in graph.outputs),
    )


def _alive(operators: list[Operator], outputs: Sequence[int]) -> list[Operator]:
    """The operators that an output needs, and those without outputs (they assign variables)."""
    needed = set(outputs)
    alive: list[Operator] = []
    for op in reversed(operators):
        if not op.outputs or not needed.isdisjoint(op.outputs):
            alive.append(op)
            needed.update(op.inputs)
    return alive[::-1]


def _codes(before: Graph, operators: Sequence[Operator]) -> tuple[OperatorCode, ...]:
    """The table without the entries that the edit left unused; others that were unused stay."""
    if not before.operator_codes:
        return ()
    used_before = {_code(op) for op in before.operators}
    used = [_code(op) for op in operators]
    kept = [code for code in before.operator_codes if code in used or code not in used_before]
    return tuple(dict.fromkeys([*kept, *used]))


def _code(op: Operator) -> OperatorCode:
    return OperatorCode(op.opcode, op.version, op.custom_code)

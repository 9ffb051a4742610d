"""Ops that LiteRT 1.2's reference kernels lack or get wrong, as chains of ops that they get right.

- SUM of int8: the reference kernel takes the bytes for uint8. So the operand becomes uint8 first,
  and the result int8 after, both exactly.
- ELU: only the table of the other kernels exists, which is the same everywhere. It is computed once
  for each operator, and looked up by GATHER.
- DEPTH_TO_SPACE, REVERSE_V2 and TILE compute int8, but are registered only under the versions of
  before.

Every tensor of the graph keeps its index and its value; the chains' own are added behind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Array, Graph, Operator, Quantization, Tensor, TensorType
from converters.tflite.options import AddOptions, CastOptions, GatherOptions, Options
from converters.tflite.writer import write_graph

_REGISTERED_VERSIONS = {"DEPTH_TO_SPACE": 1, "REVERSE_V2": 2, "TILE": 2}
_OFFSET = 128
"""From int8 to uint8."""


@dataclass
class _Rewriting:
    """A graph being copied, operator by operator."""

    graph: Graph
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)

    def add_tensor(self, like: Tensor, type_: TensorType, quantization: Quantization | None) -> int:
        index = len(self.tensors)
        self.tensors.append(Tensor(index, f"{like.name}_{index}", like.shape, type_, quantization))
        return index

    def add_constant(self, data: Array, quantization: Quantization | None = None) -> int:
        index = len(self.tensors)
        type_ = TensorType(data.dtype.name.upper())
        self.tensors.append(
            Tensor(index, f"constant_{index}", data.shape, type_, quantization, data)
        )
        return index

    def add_operator(
        self,
        opcode: str,
        inputs: tuple[int, ...],
        output: int,
        options: Options | None = None,
        version: int = 1,
    ) -> None:
        index = len(self.operators)
        self.operators.append(Operator(index, opcode, version, options, inputs, (output,)))


def needs_stand_ins(graph: Graph) -> bool:
    """Whether a graph has an operator that is to be replaced or registered anew."""
    return any(
        _is_replaced(graph, operator) or operator.version > _last_version(operator)
        for operator in graph.operators
    )


def with_stand_ins(graph: Graph) -> Graph:
    """The graph with such operators replaced."""
    rewriting = _Rewriting(graph, list(graph.tensors))
    for operator in graph.operators:
        if _is_replaced(graph, operator):
            _STAND_INS[operator.opcode](rewriting, operator)
        else:
            index = len(rewriting.operators)
            version = min(operator.version, _last_version(operator))
            kept = dataclasses.replace(operator, index=index, version=version)
            rewriting.operators.append(kept)
    return dataclasses.replace(
        graph, tensors=tuple(rewriting.tensors), operators=tuple(rewriting.operators)
    )


def _last_version(operator: Operator) -> int:
    return _REGISTERED_VERSIONS.get(operator.opcode, operator.version)


def _is_replaced(graph: Graph, operator: Operator) -> bool:
    if operator.opcode not in _STAND_INS or not operator.inputs or not operator.outputs:
        return False
    tensors = (graph.inputs_of(operator)[0], graph.outputs_of(operator)[0])
    return all(t is not None and t.type is TensorType.INT8 and t.quantization for t in tensors)


def _unsigned(tensor: Tensor) -> Quantization:
    return Quantization((tensor.scale,), (tensor.zero_point + _OFFSET,))


def _sum(rewriting: _Rewriting, operator: Operator) -> None:
    source, output = (rewriting.tensors[t] for t in (operator.inputs[0], operator.outputs[0]))
    operand = rewriting.add_tensor(source, TensorType.UINT8, _unsigned(source))
    result = rewriting.add_tensor(output, TensorType.UINT8, _unsigned(output))
    rewriting.add_operator("QUANTIZE", (source.index,), operand)
    rewriting.add_operator("SUM", (operand, operator.inputs[1]), result, operator.options)
    rewriting.add_operator("QUANTIZE", (result,), output.index)


def _elu(rewriting: _Rewriting, operator: Operator) -> None:
    source, output = (rewriting.tensors[t] for t in (operator.inputs[0], operator.outputs[0]))
    table = rewriting.add_constant(_table(operator, source, output), output.quantization)
    offset = rewriting.add_constant(np.array([_OFFSET], np.int32))
    signed = rewriting.add_tensor(source, TensorType.INT32, None)
    place = rewriting.add_tensor(source, TensorType.INT32, None)
    cast = CastOptions(TensorType.INT8, TensorType.INT32)
    rewriting.add_operator("CAST", (source.index,), signed, cast)
    rewriting.add_operator("ADD", (signed, offset), place, AddOptions())
    rewriting.add_operator("GATHER", (table, place), output.index, GatherOptions(), version=2)


def _table(operator: Operator, source: Tensor, output: Tensor) -> Array:
    """What the op makes of -128 ... 127, by LiteRT's other kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    inputs = np.arange(-_OFFSET, _OFFSET).astype(np.int8)
    b = GraphBuilder("table")
    x = b.input(inputs.shape, source.scale, source.zero_point)
    options: Any = operator.options
    shape, scale, zero_point = inputs.shape, output.scale, output.zero_point
    y = b.op(operator.opcode, [x], options, shape=shape, scale=scale, zero_point=zero_point)
    b.output(y)
    interpreter = Interpreter(
        model_content=write_graph(b.graph()),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(x, inputs)
    interpreter.invoke()
    table: Array = interpreter.get_tensor(y)
    return table


_STAND_INS: dict[str, Callable[[_Rewriting, Operator], None]] = {"ELU": _elu, "SUM": _sum}

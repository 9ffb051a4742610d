"""Writes a ``Graph`` as a TFLite file."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Graph, Operator, OperatorCode, Tensor
from converters.tflite.schema import (
    FILE_IDENTIFIER,
    SCHEMA_VERSION,
    enum_values,
    options_to_schema,
    schema,
)

# The schema forces this alignment for constant data; runtimes read weights in place.
_DATA_ALIGNMENT = 16
# Readers of before 2021 know only this field, which ends at its largest value.
_LAST_DEPRECATED_CODE = 127


def write_graph(graph: Graph) -> bytes:
    """Serializes a graph.

    The operator-code table is made of the operators, so unused entries vanish; signatures and
    metadata are not written. The same graph gives the same bytes.

    Raises:
        TidepoolError: The graph comes from a file with several subgraphs, or holds an operator
            whose options can't be written.
    """
    import flatbuffers

    if graph.subgraphs != 1:
        raise TidepoolError(
            f"a model with {graph.subgraphs} subgraphs can't be rewritten",
            hint="models with control flow (WHILE, IF, CALL_ONCE) are not supported",
        )
    # The table is sorted by first use.
    codes = list(
        dict.fromkeys(OperatorCode(op.opcode, op.version, op.custom_code) for op in graph.operators)
    )
    model = schema().ModelT()
    model.version = SCHEMA_VERSION
    model.description = graph.description
    model.operatorCodes = [_operator_code(code) for code in codes]
    # By convention buffer 0 is empty and stands for "no data".
    model.buffers = [_buffer(b"")]
    subgraph = schema().SubGraphT()
    subgraph.name = graph.name
    subgraph.tensors = [_tensor(tensor, model.buffers) for tensor in graph.tensors]
    subgraph.inputs = list(graph.inputs)
    subgraph.outputs = list(graph.outputs)
    subgraph.operators = [_operator(op, codes) for op in graph.operators]
    model.subgraphs = [subgraph]
    constants = sum(tensor.data.nbytes for tensor in graph.tensors if tensor.data is not None)
    builder = flatbuffers.Builder(1024 + constants)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


def _operator_code(code: OperatorCode) -> Any:
    value = enum_values("BuiltinOperator").get(code.opcode)
    if value is None:
        raise TidepoolError(f"operator {code.opcode} is unknown to the TFLite schema in use")
    target = schema().OperatorCodeT()
    target.builtinCode = value
    target.deprecatedBuiltinCode = min(value, _LAST_DEPRECATED_CODE)
    target.version = code.version
    target.customCode = code.custom_code or None
    return target


def _tensor(tensor: Tensor, buffers: list[Any]) -> Any:
    target = schema().TensorT()
    target.name = tensor.name
    target.shape = list(tensor.shape)
    if tensor.shape_signature and tensor.shape_signature != tensor.shape:
        target.shapeSignature = list(tensor.shape_signature)
    target.type = enum_values("TensorType")[tensor.type.value]
    target.isVariable = tensor.is_variable
    if tensor.quantization is not None:
        target.quantization = schema().QuantizationParametersT()
        target.quantization.scale = np.asarray(tensor.quantization.scales, np.float32)
        target.quantization.zeroPoint = np.asarray(tensor.quantization.zero_points, np.int64)
        target.quantization.quantizedDimension = tensor.quantization.axis
    if tensor.data is not None:
        target.buffer = len(buffers)
        buffers.append(_buffer(np.ascontiguousarray(tensor.data).tobytes()))
    return target


def _operator(operator: Operator, codes: list[OperatorCode]) -> Any:
    target = schema().OperatorT()
    code = OperatorCode(operator.opcode, operator.version, operator.custom_code)
    target.opcodeIndex = codes.index(code)
    target.inputs = list(operator.inputs)
    target.outputs = list(operator.outputs)
    if operator.intermediates:
        target.intermediates = list(operator.intermediates)
    if operator.options is not None:
        try:
            target.builtinOptionsType, target.builtinOptions = options_to_schema(operator.options)
        except (KeyError, AttributeError) as error:
            raise TidepoolError(
                f"the options of operator {operator.index} ({operator.opcode}) can't be written"
            ) from error
    if operator.custom_options:
        target.customOptions = np.frombuffer(operator.custom_options, np.uint8)
    return target


def _buffer(content: bytes) -> Any:
    class AlignedBuffer(schema().BufferT):  # type: ignore[misc]
        """The generated code ignores the schema's alignment of constant data; this one doesn't."""

        def Pack(self, builder: Any) -> Any:  # noqa: N802 (the generated code's name)
            offset = None
            if content:
                builder.StartVector(1, len(content), _DATA_ALIGNMENT)
                builder.head -= len(content)
                builder.Bytes[builder.head : builder.head + len(content)] = content
                offset = builder.EndVector()
            schema().BufferStart(builder)
            if offset is not None:
                schema().BufferAddData(builder, offset)
            return schema().BufferEnd(builder)

    return AlignedBuffer()

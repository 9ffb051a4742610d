"""What TFLM can't run is found before anything is built, all of it at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from converters.errors import TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, Operator, TensorType
from converters.tflite.options import FullyConnectedOptions
from converters.tflite.reader import read_graph
from device_runners.tflm.runner import check


def graph_of(builder: GraphBuilder, operators: list[Operator], inputs: list[int]) -> Graph:
    outputs = (operators[-1].outputs[0],)
    return dataclasses.replace(
        builder.graph(), operators=tuple(operators), inputs=tuple(inputs), outputs=outputs
    )


def int8_chain(*opcodes: str) -> Graph:
    b = GraphBuilder("chain")
    x = b.input((1, 8), scale=0.1, zero_point=0)
    for opcode in opcodes:
        x = b.op(opcode, [x], None, shape=(1, 8), scale=0.1, zero_point=0)
    b.output(x)
    return b.graph()


def messages(graph: Graph) -> list[str]:
    findings = check(graph)
    assert findings.blocking == findings.items
    return [item.message for item in findings.items]


def test_int8_models_pass(mlperf_tiny_model: Path) -> None:
    assert check(read_graph(mlperf_tiny_model)).items == ()


def test_every_op_that_tflm_lacks_is_named_with_its_output() -> None:
    graph = int8_chain("RELU", "GELU", "LOGISTIC", "SIGN")
    first, second = check(graph).items
    assert (first.operator, first.opcode, first.tensor) == (1, "GELU", "tensor_2")
    assert "TFLM has no op GELU (operator 1, 'tensor_2')" in first.message
    assert (second.operator, second.opcode) == (3, "SIGN")


def test_custom_op_is_named() -> None:
    graph = int8_chain("RELU")
    custom = dataclasses.replace(graph.operators[0], opcode="CUSTOM", custom_code="MyOp")
    (message,) = messages(dataclasses.replace(graph, operators=(custom,)))
    assert "CUSTOM:MyOp" in message


def test_float_model_is_one_finding() -> None:
    b = GraphBuilder("float")
    a, c, d = (b.tensor((1, 4), TensorType.FLOAT32) for _ in range(3))
    ops = [Operator(0, "RELU", 1, None, (a,), (c,)), Operator(1, "TANH", 1, None, (c,), (d,))]
    (message,) = messages(graph_of(b, ops, [a]))
    assert "FLOAT32, in 2 operators (first: RELU 0, 'tensor_1')" in message


def test_dynamic_range_quantization_is_recognized() -> None:
    b = GraphBuilder("hybrid")
    x, y = (b.tensor((1, 4), TensorType.FLOAT32) for _ in range(2))
    w = b.constant(np.ones((4, 4), np.int8), scales=[0.1])
    dense = Operator(0, "FULLY_CONNECTED", 1, FullyConnectedOptions(), (x, w, -1), (y,))
    (message,) = messages(graph_of(b, [dense], [x]))
    assert message.startswith("dynamic-range quantized")


def test_weight_only_quantization_is_recognized() -> None:
    b = GraphBuilder("weight-only")
    x, y, w = (b.tensor((4, 4), TensorType.FLOAT32) for _ in range(3))
    packed = b.constant(np.ones((4, 4), np.int8), scales=[0.1])
    ops = [
        Operator(0, "DEQUANTIZE", 2, None, (packed,), (w,)),
        Operator(1, "FULLY_CONNECTED", 1, FullyConnectedOptions(), (x, w, -1), (y,)),
    ]
    first, second = messages(graph_of(b, ops, [x]))
    assert first.startswith("weight-only quantized")
    assert "wrongly" in first
    assert "FLOAT32, in 1 operator (first: FULLY_CONNECTED 1" in second


@pytest.mark.parametrize("type_", [TensorType.INT16, TensorType.UINT8])
def test_other_integer_activations_are_refused(type_: TensorType) -> None:
    b = GraphBuilder("other")
    x = b.input((1, 4), 0.1, 0, type_)
    b.output(b.op("RELU", [x], None, shape=(1, 4), scale=0.1, zero_point=0, type=type_))
    (message,) = messages(b.graph())
    assert f"activations of {type_}" in message


def test_uint8_input_that_is_quantized_to_int8_passes() -> None:
    b = GraphBuilder("uint8")
    x = b.input((1, 4), 0.1, 128, TensorType.UINT8)
    b.output(b.op("QUANTIZE", [x], None, shape=(1, 4), scale=0.1, zero_point=0))
    assert messages(b.graph()) == []


def test_several_subgraphs_are_refused() -> None:
    (message,) = messages(dataclasses.replace(int8_chain("RELU"), subgraphs=3))
    assert "3 subgraphs" in message


def test_empty_model_is_refused() -> None:
    (message,) = messages(dataclasses.replace(int8_chain("RELU"), operators=()))
    assert "no operators" in message


def test_the_error_names_everything() -> None:
    graph = dataclasses.replace(int8_chain("GELU", "SIGN"), subgraphs=2)
    with pytest.raises(TidepoolError) as error:
        check(graph).raise_if_blocking()
    assert all(part in error.value.message for part in ("GELU", "SIGN", "2 subgraphs"))

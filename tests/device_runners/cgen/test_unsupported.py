"""Everything that can't become C is named, all at once, before anything is written."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.models import int8_model

from converters.errors import TidepoolError
from converters.tflite import read_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, TensorType
from converters.tflite.options import AddOptions, SoftmaxOptions
from device_runners.cgen import build, check

MODELS = Path(__file__).resolve().parents[4] / "shared" / "mlperf_tiny"


def two_unsupported_ops() -> Graph:
    b = GraphBuilder("unsupported")
    x = b.input((4,), 0.1, 0)
    y = b.op("COS", [x], None, shape=(4,), scale=1 / 128, zero_point=0)
    z = b.op("RELU", [y], None, shape=(4,), scale=0.1, zero_point=0)
    w = b.op("FLOOR", [z], None, shape=(4,), scale=0.1, zero_point=0)
    b.output(w)
    return b.graph()


def test_every_unsupported_op_is_named_with_its_output_and_the_supported_ones(
    tmp_path: Path,
) -> None:
    graph = two_unsupported_ops()
    findings = check(graph).blocking
    assert [(f.operator, f.opcode, f.tensor) for f in findings] == [
        (0, "COS", "tensor_1"),
        (2, "FLOOR", "tensor_3"),
    ]
    with pytest.raises(TidepoolError) as caught:
        build(int8_model(graph), tmp_path / "out")
    assert "operator 0 COS (output 'tensor_1') is not supported" in caught.value.message
    assert "operator 2 FLOOR (output 'tensor_3') is not supported" in caught.value.message
    assert "CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_a_float_model_is_refused_in_one_sentence() -> None:
    model = MODELS / "kws_dscnn_float32.tflite"
    if not model.exists():
        pytest.skip(f"{model} is absent")
    (finding,) = check(read_graph(model)).blocking
    assert "the model is not int8" in finding.message
    assert "int8" in finding.hint


@pytest.mark.parametrize(
    ("type_", "word"), [(TensorType.UINT8, "uint8"), (TensorType.FLOAT32, "float")]
)
def test_uint8_and_float_graphs_are_told_to_convert(type_: TensorType, word: str) -> None:
    b = GraphBuilder("typed")
    x = b.input((4,), 0.1, 0, type=type_)
    y = b.op("RELU", [x], None, shape=(4,), scale=0.1, zero_point=0, type=type_)
    b.output(b.op("RELU", [y], None, shape=(4,), scale=0.1, zero_point=0, type=type_))
    (finding,) = check(b.graph()).blocking
    assert f"is {word}" in finding.message
    assert "convert the model to full-integer int8" in finding.hint


def test_int16_tensors_of_ops_that_have_no_kernel_for_them_are_refused() -> None:
    b = GraphBuilder("int16")
    x = b.input((4,), 0.1, 0, type=TensorType.INT16)
    b.output(b.op("ELU", [x], None, shape=(4,), scale=0.1, zero_point=0, type=TensorType.INT16))
    assert "of type INT16" in check(b.graph()).blocking[0].message


def test_an_unknown_version_is_refused() -> None:
    b = GraphBuilder("version")
    x = b.input((4,), 0.1, 0)
    b.output(b.op("RELU", [x], None, shape=(4,), scale=0.1, zero_point=0, version=9))
    (finding,) = check(b.graph()).blocking
    assert "has version 9; versions up to 2 are known" in finding.message


def test_missing_options_are_refused() -> None:
    b = GraphBuilder("options")
    x = b.input((4,), 0.1, 0)
    b.output(b.op("SOFTMAX", [x], None, shape=(4,), scale=1 / 256, zero_point=-128))
    assert "has no SoftmaxOptions" in check(b.graph()).blocking[0].message


def test_options_of_another_op_are_refused() -> None:
    b = GraphBuilder("options")
    x = b.input((4,), 0.1, 0)
    b.output(b.op("ADD", [x, x], SoftmaxOptions(), shape=(4,), scale=0.1, zero_point=0))
    assert "has no AddOptions" in check(b.graph()).blocking[0].message


def test_a_wrong_number_of_inputs_is_refused() -> None:
    b = GraphBuilder("inputs")
    x = b.input((4,), 0.1, 0)
    b.output(b.op("ADD", [x], AddOptions(), shape=(4,), scale=0.1, zero_point=0))
    assert "has 1 inputs and 1 outputs" in check(b.graph()).blocking[0].message


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_useless_scales_are_refused(scale: float) -> None:
    b = GraphBuilder("scale")
    x = b.input((4,), scale, 0)
    b.output(b.op("RELU", [x], None, shape=(4,), scale=0.1, zero_point=0))
    assert "with the scale" in check(b.graph()).blocking[0].message


def test_a_zero_point_outside_int8_is_refused() -> None:
    b = GraphBuilder("zero_point")
    x = b.input((4,), 0.1, 128)
    b.output(b.op("RELU", [x], None, shape=(4,), scale=0.1, zero_point=0))
    assert "with the zero point 128" in check(b.graph()).blocking[0].message


def test_a_variable_is_refused() -> None:
    b = GraphBuilder("variable")
    x = b.input((4,), 0.1, 0)
    state = b.tensor((4,), scales=[0.1])
    b.output(b.op("ADD", [x, state], AddOptions(), shape=(4,), scale=0.1, zero_point=0))
    assert "which nothing computes" in check(b.graph()).blocking[0].message


def test_a_constant_output_is_refused() -> None:
    b = GraphBuilder("constant")
    x = b.input((4,), 0.1, 0)
    b.op("RELU", [x], None, shape=(4,), scale=0.1, zero_point=0)
    b.output(b.constant(np.zeros(4, np.int8), scales=[0.1]))
    assert "is constant" in check(b.graph()).blocking[0].message


def test_a_graph_without_operators_is_refused() -> None:
    b = GraphBuilder("empty")
    b.output(b.input((4,), 0.1, 0))
    assert "has no operators" in check(b.graph()).blocking[0].message


def test_control_flow_is_refused() -> None:
    graph = dataclasses.replace(two_unsupported_ops(), subgraphs=3)
    assert "3 subgraphs" in check(graph).blocking[0].message

"""Verification: what isn't full-integer is refused by name, and wrong numbers are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.keras_models import small_cnn, uniform_samples
from support.recurrent_layers import lstm_graph

from converters.errors import TidepoolError
from converters.tflite import Graph, TensorType, read_graph
from converters.tflite.affine import dequantize, quantize, real_range
from converters.tflite.builder import GraphBuilder
from converters.tflite.convert import convert_int8
from converters.tflite.verify import (
    Agreement,
    check_agreement,
    check_full_integer,
    compare_with_keras,
    predict_keras,
)
from device_runners.host.oracle import Oracle


def relu_graph(
    *,
    opcode: str = "RELU",
    input_type: TensorType = TensorType.INT8,
    output_type: TensorType = TensorType.INT8,
) -> Graph:
    b = GraphBuilder("one_op")
    x = b.input((1, 4), 0.1, 0, type=input_type)
    y = b.op(opcode, [x], None, shape=(1, 4), scale=0.1, zero_point=-128, type=output_type)
    b.output(y)
    return b.graph()


def test_int8_graphs_pass(mlperf_tiny_model: Path) -> None:
    check_full_integer(read_graph(mlperf_tiny_model))


def test_the_scales_inside_of_an_operator_may_be_empty_floats() -> None:
    check_full_integer(lstm_graph(0))


def test_requantizing_between_integers_is_allowed() -> None:
    check_full_integer(relu_graph(opcode="QUANTIZE"))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (relu_graph(input_type=TensorType.FLOAT32), "input 0 .* is FLOAT32, read by op 0 RELU"),
        (relu_graph(output_type=TensorType.FLOAT32), "output 1 .* is FLOAT32, computed by op 0"),
        (
            relu_graph(opcode="QUANTIZE", input_type=TensorType.FLOAT32),
            "op 0 QUANTIZE .*takes float values",
        ),
        (relu_graph(opcode="DEQUANTIZE"), "op 0 DEQUANTIZE .*goes back to float"),
        (relu_graph(opcode="READ_VARIABLE"), "op 0 READ_VARIABLE .*variable"),
        (relu_graph(opcode="CUSTOM"), "op 0 CUSTOM .*custom op"),
        (replace(relu_graph(), subgraphs=2), "2 subgraphs"),
    ],
)
def test_what_is_refused(graph: Graph, message: str) -> None:
    with pytest.raises(TidepoolError, match=message) as caught:
        check_full_integer(graph)
    assert caught.value.hint


def with_tensor(graph: Graph, index: int, **changes: Any) -> Graph:
    tensors = list(graph.tensors)
    tensors[index] = replace(tensors[index], **changes)
    return replace(graph, tensors=tuple(tensors))


def test_a_dynamic_shape_is_refused_but_for_the_batch() -> None:
    check_full_integer(with_tensor(relu_graph(), 0, shape_signature=(-1, 4)))
    with pytest.raises(TidepoolError, match="dynamic shape"):
        check_full_integer(with_tensor(relu_graph(), 0, shape_signature=(1, -1)))


def test_an_input_without_a_scale_is_refused() -> None:
    with pytest.raises(TidepoolError, match="INT8 without a scale"):
        check_full_integer(with_tensor(relu_graph(), 0, quantization=None))


def test_an_index_may_come_out_but_not_go_in() -> None:
    check_full_integer(with_tensor(relu_graph(), 1, type=TensorType.INT64, quantization=None))
    with pytest.raises(TidepoolError, match=r"input 0 .* is INT64"):
        check_full_integer(with_tensor(relu_graph(), 0, type=TensorType.INT64))


def test_a_dynamic_range_file_is_refused() -> None:
    import tensorflow as tf

    model = small_cnn()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with pytest.raises(TidepoolError, match="FLOAT32"):
        check_full_integer(read_graph(converter.convert()))


@pytest.fixture(scope="module")
def model() -> Any:
    return small_cnn()


@pytest.fixture(scope="module")
def content(model: Any) -> bytes:
    return convert_int8(model, lambda: SAMPLES)


SAMPLES = uniform_samples(70, (8, 8, 1))


def test_the_figures_are_those_of_a_direct_computation(model: Any, content: bytes) -> None:
    graph = read_graph(content)
    (agreement,) = compare_with_keras(model, graph, Oracle(content).run, SAMPLES)
    x = np.stack([sample[0] for sample in SAMPLES])
    want = model.predict_on_batch(x)
    oracle, source, target = Oracle(content), graph.input_tensors[0], graph.output_tensors[0]
    got = np.concatenate(
        [dequantize(oracle.run([quantize(s[0][None], source)])[0], target) for s in SAMPLES]
    )
    error = np.abs(got.astype(np.float64) - want)
    assert agreement.samples == 70
    assert agreement.mean_error == pytest.approx(error.mean(), rel=1e-4)
    assert agreement.worst_error == pytest.approx(error.max(), rel=1e-4)
    assert agreement.rms_error == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    assert agreement.lsb == target.scale
    assert agreement.correlation == pytest.approx(
        np.corrcoef(want.ravel(), got.ravel())[0, 1], rel=1e-4
    )
    assert agreement.argmax_agreement == np.mean(want.argmax(1) == got.argmax(1))


def test_a_file_with_other_weights_is_refused(content: bytes) -> None:
    import keras

    other = small_cnn()
    keras.utils.set_random_seed(99)
    for weight in other.trainable_variables:
        weight.assign(keras.random.normal(weight.shape))
    agreements = compare_with_keras(other, read_graph(content), Oracle(content).run, SAMPLES)
    assert agreements[0].correlation < 0.5
    with pytest.raises(TidepoolError, match="disagrees with the Keras model: correlation"):
        check_agreement(agreements)


def test_an_output_that_is_stuck_is_refused(model: Any, content: bytes) -> None:
    graph = read_graph(content)
    mean = model.predict_on_batch(np.stack([sample[0] for sample in SAMPLES])).mean(axis=0)
    stuck = np.where(np.arange(4) == mean.argmin(), 127, -128).astype(np.int8)[None]

    def predict(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [stuck]

    with pytest.raises(TidepoolError, match="disagrees"):
        check_agreement(compare_with_keras(model, graph, predict, SAMPLES))


def test_an_output_that_hardly_varies_is_judged_by_its_error() -> None:
    flat = Agreement("y", 10, 0.003, 0.004, 0.0039, 0.003, 0.0, None)
    check_agreement([flat])
    with pytest.raises(TidepoolError):
        check_agreement([replace(flat, rms_error=0.1)])


@pytest.mark.parametrize("count", [1, 32, 40])
def test_predicting_in_batches_gives_each_sample_its_own_outputs(model: Any, count: int) -> None:
    (outputs,) = predict_keras(model, SAMPLES[:count])
    expected = np.concatenate([np.asarray(model(s[0][None])) for s in SAMPLES[:count]])
    assert outputs.shape == (count, 4)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_no_samples_to_compare(model: Any, content: bytes) -> None:
    with pytest.raises(TidepoolError, match="no samples to compare"):
        compare_with_keras(model, read_graph(content), Oracle(content).run, [])


@pytest.mark.parametrize(("scale", "zero_point"), [(0.1, 0), (1 / 255, -128), (0.37, 100)])
def test_quantize_is_what_the_reference_interpreter_does(scale: float, zero_point: int) -> None:
    """Compared with the QUANTIZE op of the reference, at values around every rounding edge."""
    from converters.tflite import write_graph

    values = (np.arange(-300, 300) / 2).astype(np.float32) * np.float32(scale)
    b = GraphBuilder("quantize")
    x = b.tensor((values.size,), TensorType.FLOAT32)
    y = b.op("QUANTIZE", [x], None, shape=(values.size,), scale=scale, zero_point=zero_point)
    b.output(y)
    graph = replace(b.graph(), inputs=(x,))
    (expected,) = Oracle(write_graph(graph)).run([values])
    np.testing.assert_array_equal(quantize(values, graph.tensor(y)), expected)


def test_the_real_range_is_what_the_integers_stand_for() -> None:
    tensor = relu_graph().output_tensors[0]
    low, high = real_range(tensor)
    ends = dequantize(np.array([-128, 127], np.int8), tensor)
    assert (low, high) == pytest.approx(tuple(ends))

"""Conversion: the trained integers and ranges are in the file; a file without them is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from converters.errors import TidepoolError
from converters.load.keras_runtime import import_keras
from converters.qat import QuantizeWrapper, convert_quantized, quantize_model
from converters.qat.export import export
from converters.qat.places import check_places, roundings, tensors_of
from converters.qat.trained import TrainedWeight, check_ranges, check_weights, trained_weights
from converters.tflite.affine import quantize
from converters.tflite.graph import Graph, Quantization, TensorType
from converters.tflite.reader import read_graph
from converters.tflite.verify import check_full_integer
from device_runners.host.micro import run_micro
from device_runners.host.oracle import Oracle

keras = import_keras()
L = keras.layers

IMAGES = np.random.default_rng(1).normal(0, 1, (32, 10, 10, 3)).astype(np.float32)
LABELS = np.random.default_rng(2).integers(0, 4, 32)


def trained_model(scheme: str = "int8") -> Any:
    """The shapes that a small vision net has: stem, depthwise block, residual, pooling, head."""
    keras.utils.set_random_seed(2)
    inputs = keras.Input((10, 10, 3))
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(inputs)
    x = L.ReLU()(L.BatchNormalization()(x))
    y = L.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = L.ReLU(6.0)(L.BatchNormalization()(y))
    y = L.BatchNormalization()(L.Conv2D(8, 1, name="pointwise")(y))
    x = L.MaxPooling2D()(L.ReLU()(L.Add()([x, y])))
    x = L.Dense(6, activation="relu", name="hidden")(L.Flatten()(x))
    model = quantize_model(keras.Model(inputs, L.Dense(4, activation="softmax")(x)), scheme)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(IMAGES, LABELS, batch_size=16, epochs=3, verbose=0)
    return model


@pytest.fixture(scope="module")
def model() -> Any:
    return trained_model()


@pytest.fixture(scope="module")
def content(model: Any) -> bytes:
    return convert_quantized(model)


@pytest.fixture(scope="module")
def graph(content: bytes) -> Graph:
    return read_graph(content)


def worst_difference(content: bytes, model: Any) -> int:
    oracle, graph = Oracle(content), read_graph(content)
    source, target = graph.input_tensors[0], graph.output_tensors[0]
    expected = quantize(model.predict(IMAGES, verbose=0), target).astype(int)
    results = [oracle.run([quantize(image[None], source)])[0][0] for image in IMAGES]
    return int(np.abs(np.stack(results).astype(int) - expected).max())


def test_one_operator_for_each_layer_and_none_in_between(graph: Graph) -> None:
    check_full_integer(graph)
    assert [operator.opcode for operator in graph.operators] == [
        *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD", "MAX_POOL_2D", "RESHAPE"),
        *("FULLY_CONNECTED", "FULLY_CONNECTED", "SOFTMAX"),
    ]
    assert {code.opcode for code in graph.operator_codes} == {op.opcode for op in graph.operators}


def test_weights_in_the_file_are_the_trained_integers(model: Any, graph: Graph) -> None:
    for layer in model.layers:
        if not isinstance(layer, QuantizeWrapper):
            continue
        kernel = np.asarray(layer.layer.kernel)
        normalize = layer.batch_normalization
        sign = 1.0
        if layer.layer.name == "depthwise":
            kernel = kernel.reshape(-1, 8)
        if normalize is not None:
            sign = np.sign(np.asarray(normalize.gamma))
        scales = np.abs(kernel).max(tuple(range(kernel.ndim - 1))) / 127
        integers = (np.rint(kernel / scales) * sign).astype(int)
        # TFLite has the output channels first, in a depthwise kernel last.
        axis = 3 if layer.layer.name == "depthwise" else 0
        found = [
            np.array_equal(np.moveaxis(tensor.data, axis, -1).reshape(kernel.shape), integers)
            for tensor in graph.tensors
            if tensor.data is not None and tensor.type is TensorType.INT8
            if tensor.data.ndim > axis and tensor.elements == integers.size
        ]
        assert any(found), layer.layer.name


# A step of the logits is 0.047; p * (1 - p) of it is at most 3 steps of 1/256 after the softmax,
# whose own rounding adds one.
ONE_STEP_OF_THE_LOGITS = 4


def test_file_computes_what_the_simulation_does(content: bytes, model: Any) -> None:
    assert worst_difference(content, model) <= ONE_STEP_OF_THE_LOGITS


@pytest.mark.slow
def test_same_model_gives_the_same_bytes(content: bytes, model: Any) -> None:
    assert convert_quantized(model) == content


def changed(graph: Graph, weight: TrainedWeight, **changes: Any) -> Graph:
    tensors = [
        replace(tensor, **changes)
        if tensor.data is not None and np.array_equal(tensor.data, weight.integers)
        else tensor
        for tensor in graph.tensors
    ]
    return replace(graph, tensors=tuple(tensors))


def test_one_wrong_integer_is_found_and_its_layer_named(model: Any, graph: Graph) -> None:
    for weight in trained_weights(model):
        integers = weight.integers.copy()
        integers.flat[0] ^= 1
        with pytest.raises(TidepoolError, match=rf"'{weight.layer}'.* 1 of {integers.size} "):
            check_weights(changed(graph, weight, data=integers), [weight])


def test_a_wrong_scale_is_found(model: Any, graph: Graph) -> None:
    weight = trained_weights(model)[0]
    scales = tuple(float(scale) * 1.001 for scale in weight.scales)
    wrong = Quantization(scales, (0,) * len(scales), weight.axis)
    with pytest.raises(TidepoolError, match="'stem'"):
        check_weights(changed(graph, weight, quantization=wrong), [weight])


def test_a_lost_range_is_found_and_its_layer_named(model: Any, graph: Graph) -> None:
    lost = next(op for op in graph.operators if op.opcode == "ADD").outputs[0]
    scale, zero_point = graph.tensor(lost).scale, graph.tensor(lost).zero_point
    wrong = Quantization((scale * 1.01,), (zero_point,))
    tensors = [
        replace(tensor, quantization=wrong)
        if tensor.quantization and tensor.quantization.scales == (scale,)
        else tensor
        for tensor in graph.tensors
    ]
    with pytest.raises(TidepoolError, match=r"'re_lu_\d+_range'.*isn't in the converted file"):
        check_ranges(replace(graph, tensors=tuple(tensors)), model)


def test_ranges_that_changed_places_are_found(model: Any, graph: Graph) -> None:
    frozen = export(model)
    found = [tensors_of(graph, rounding) for rounding in roundings(frozen)]
    assert found and all(found)
    check_places(graph, frozen, wide=False)
    add = next(op for op in graph.operators if op.opcode == "ADD")
    one, other = graph.tensor(add.inputs[0]), graph.tensor(add.outputs[0])
    swapped = {one.index: other.quantization, other.index: one.quantization}
    tensors = tuple(
        replace(tensor, quantization=swapped.get(tensor.index, tensor.quantization))
        for tensor in graph.tensors
    )
    wrong = replace(graph, tensors=tensors)
    check_ranges(wrong, model)  # all of them are there
    with pytest.raises(TidepoolError, match=r"tensor '.*' of the converted file has scale"):
        check_places(wrong, frozen, wide=False)


@pytest.mark.slow
def test_edge_tpu_scheme_has_dense_weights_per_tensor() -> None:
    model = trained_model("edge_tpu")
    graph = read_graph(convert_quantized(model))
    for operator in graph.operators:
        weights = graph.inputs_of(operator)[1:2]
        if operator.opcode == "FULLY_CONNECTED":
            assert not weights[0].quantization.per_channel
        if operator.opcode == "CONV_2D":
            assert weights[0].quantization.per_channel


@pytest.mark.slow
def test_int4_scheme_packs_its_weights_and_runs_in_both_interpreters() -> None:
    model = trained_model("int4")
    content = convert_quantized(model)
    graph = read_graph(content)
    types = {
        operator.opcode: graph.inputs_of(operator)[1].type
        for operator in graph.operators
        if operator.opcode in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    }
    assert types == {
        "CONV_2D": TensorType.INT4,
        "DEPTHWISE_CONV_2D": TensorType.INT8,
        "FULLY_CONNECTED": TensorType.INT4,
    }
    assert worst_difference(content, model) <= ONE_STEP_OF_THE_LOGITS
    source = graph.input_tensors[0]
    samples = [[quantize(image[None], source)] for image in IMAGES[:4]]
    oracle = Oracle(content)
    outputs = run_micro(content, graph, samples).outputs
    for sample, output in zip(samples, outputs, strict=True):
        np.testing.assert_array_equal(output[0], oracle.run(sample)[0])

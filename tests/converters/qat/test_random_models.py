"""Random functional models: they convert, and compute what the simulation does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.conversion import conversion_in_this_process

from converters.load.keras_runtime import import_keras
from converters.qat import QuantizeActivation, convert_quantized, quantize_model
from converters.tflite.affine import quantize
from converters.tflite.graph import Tensor
from converters.tflite.reader import read_graph
from converters.tflite.verify import check_full_integer
from device_runners.host.oracle import Oracle

keras = import_keras()
L = keras.layers

SAMPLES = 8
# One operation on 8-bit values may round to the other side: one step of its output.
ONE_STEP = 1


def _convolution(draw: Any, x: Any) -> Any:
    kind = draw(st.sampled_from(["conv", "depthwise", "separable"]))
    size, padding = draw(st.sampled_from([1, 2, 3])), "same"
    if kind == "depthwise":
        return L.DepthwiseConv2D(size, padding=padding, use_bias=draw(st.booleans()))(x)
    layer = L.Conv2D if kind == "conv" else L.SeparableConv2D
    return layer(draw(st.integers(1, 6)), size, padding=padding, use_bias=draw(st.booleans()))(x)


def _activation(draw: Any, x: Any) -> Any:
    name = draw(
        st.sampled_from(["relu", "relu6", "leaky_relu", "sigmoid", "tanh", "hard_swish", "swish"])
    )
    return L.Activation(name)(x)


def _merge(draw: Any, values: list[Any]) -> Any:
    left = draw(st.sampled_from(values))
    right = draw(st.sampled_from([v for v in values if v.shape[1:3] == left.shape[1:3]]))
    if left.shape == right.shape:
        return draw(st.sampled_from([L.Add, L.Multiply, L.Subtract, L.Concatenate]))()(
            [left, right]
        )
    return L.Concatenate()([left, right])


def build_model(draw: Any) -> Any:
    inputs = keras.Input((6, 6, draw(st.integers(1, 4))))
    values = [inputs]
    for _ in range(draw(st.integers(1, 6))):
        x = draw(st.sampled_from(values))
        step = draw(
            st.sampled_from(["convolution", "convolution", "norm", "activation", "merge", "pool"])
        )
        if step == "convolution":
            x = _convolution(draw, x)
            x = L.BatchNormalization()(x) if draw(st.booleans()) else x
            x = L.ReLU()(x) if draw(st.booleans()) else x
        elif step == "norm":
            x = L.BatchNormalization()(x)
        elif step == "activation":
            x = _activation(draw, x)
        elif step == "merge":
            x = _merge(draw, values)
        elif min(x.shape[1:3]) >= 2:
            x = draw(st.sampled_from([L.MaxPooling2D, L.AveragePooling2D]))(2)(x)
        values.append(x)
    outputs = L.Dense(3)(L.Flatten()(values[-1]))
    return keras.Model(inputs, outputs)


def matching(graph: Any, layer: Any, shape: tuple[int, ...]) -> list[Tensor]:
    """The computed tensors that can be what a layer rounds: by range and size."""
    trained = layer.trained_range()
    return [
        tensor
        for tensor in graph.tensors
        if tensor.data is None
        and tensor.quantization is not None
        and tensor.elements == np.prod(shape)
        and tensor.zero_point == trained.zero_point
        and abs(tensor.scale - trained.scale) <= 1e-5 * trained.scale
    ]


@pytest.mark.slow
@settings(
    max_examples=10,
    # Shrinking would convert hundreds of models.
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_random_model_computes_what_its_simulation_does(data: st.DataObject) -> None:
    keras.utils.set_random_seed(4)
    model = build_model(data.draw)
    quantized = quantize_model(model)
    generator = np.random.default_rng(4)
    images = generator.normal(0, 1, (SAMPLES, *model.inputs[0].shape[1:])).astype(np.float32)
    quantized.compile(keras.optimizers.SGD(0.01), "mse")
    quantized.fit(images, generator.normal(0, 1, (SAMPLES, 3)), epochs=2, verbose=0)
    with conversion_in_this_process():
        content = convert_quantized(quantized)
    graph = read_graph(content)
    check_full_integer(graph)
    outputs = [
        (layer, node.output_tensors[0])
        for layer in quantized.layers
        if isinstance(layer, QuantizeActivation)
        for node in layer._inbound_nodes
    ]
    simulation = keras.Model(quantized.inputs, [tensor for _, tensor in outputs])
    expected = keras.tree.flatten(simulation.predict(images, verbose=0))
    oracle = Oracle(content, all_tensors=True)
    operators = len(graph.operators)
    assert matching(graph, outputs[-1][0], expected[-1].shape[1:]) == [graph.output_tensors[0]]
    for index in range(SAMPLES):
        oracle.run([quantize(images[index : index + 1], graph.input_tensors[0])])
        for (layer, _), values in zip(outputs, expected, strict=True):
            differences = [
                np.abs(
                    oracle.tensor(tensor.index).astype(int).ravel()
                    - quantize(values[index], tensor).astype(int).ravel()
                ).max()
                for tensor in matching(graph, layer, values.shape[1:])
            ]
            # Fused by the converter, if there is none of this size.
            assert not differences or min(differences) <= ONE_STEP * operators, layer.name

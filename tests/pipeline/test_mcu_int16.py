"""Models of int16 activations on emulated cores: every tensor is exact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.emulated_layers import assert_graph_exact
from support.int16_graphs import make_int16_graph

from converters.tflite import read_graph
from converters.tflite.graph import TensorType


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m3"])
def test_a_random_graph_is_exact(core: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(40)
    assert_graph_exact(make_int16_graph(rng, 12), rng, core, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
def test_many_random_graphs_are_exact(core: str, tmp_path: Path) -> None:
    for seed in range(41, 49):
        rng = np.random.default_rng(seed)
        assert_graph_exact(make_int16_graph(rng, 10), rng, core, tmp_path / str(seed))


def _converted_by_tensorflow() -> bytes:
    """A small CNN with 16-bit activations by TensorFlow's own converter."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(1)
    x = keras.Input((12, 12, 3))
    y = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    y = layers.DepthwiseConv2D(3, padding="same", strides=2)(y)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.Add()([y, layers.Conv2D(8, 1)(y)])
    y = layers.Multiply()([y, layers.Conv2D(8, 1, activation="sigmoid")(y)])
    y = layers.Concatenate()([layers.MaxPooling2D(2)(y), layers.AveragePooling2D(2)(y)])
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(12, 3, activation="relu")(y))
    y = layers.Dense(5, activation="softmax")(layers.Dense(16, activation="tanh")(y))

    def samples() -> Iterator[list[np.ndarray]]:
        rng = np.random.default_rng(0)
        for _ in range(20):
            yield [rng.normal(size=(1, 12, 12, 3)).astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(x, y))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    converter.inference_input_type = converter.inference_output_type = tf.int16
    content: bytes = converter.convert()
    return content


@pytest.mark.slow
def test_a_model_of_tensorflows_own_converter_is_exact(tmp_path: Path) -> None:
    graph = read_graph(_converted_by_tensorflow())
    assert {tensor.type for tensor in graph.output_tensors} == {TensorType.INT16}
    assert_graph_exact(graph, np.random.default_rng(5), "cortex-m4", tmp_path)

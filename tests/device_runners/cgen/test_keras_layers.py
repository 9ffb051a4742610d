"""What the converter makes of Keras layers: the ops' real versions, options and quantization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.graphs import random_inputs
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite import read_graph
from converters.tflite.convert import convert_int8

_SHAPE = (6, 6, 4)
_ACTIVATIONS = (
    "celu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "log_softmax",
    "mish",
    "relu6",
    "selu",
    "softplus",
    "swish",
    "tanh_shrink",
)


def model_of_many_layers() -> Any:
    """Each branch is a layer, and an output of the model."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(9)
    x = keras.Input(_SHAPE)

    def image() -> Any:
        # Of its own for each branch: the converter would join what branches have in common.
        return layers.Conv2D(4, 1)(x)

    def rows() -> Any:
        return layers.Reshape((36, 4))(image())

    queries = rows()
    branches = [
        layers.Subtract()([image(), image()]),
        layers.Maximum()([image(), image()]),
        layers.LeakyReLU(0.2)(image()),
        layers.PReLU(shared_axes=[1, 2], alpha_initializer="glorot_uniform")(image()),
        layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu")(image()),
        layers.Conv1DTranspose(3, 3, strides=2)(rows()),
        layers.Conv2D(3, 3, dilation_rate=2, padding="same")(image()),
        layers.UpSampling2D(2)(image()),
        layers.UpSampling2D(2, interpolation="bilinear")(image()),
        layers.Resizing(9, 5)(image()),
        layers.Cropping2D(1)(image()),
        layers.Permute((3, 1, 2))(image()),
        layers.Softmax(axis=1)(image()),
        layers.GlobalMaxPooling2D()(image()),
        layers.GlobalAveragePooling1D()(rows()),
        layers.MultiHeadAttention(2, 3)(queries, queries),
        layers.Dot(axes=2)([rows(), rows()]),
        layers.SimpleRNN(3, unroll=True)(layers.Cropping1D((30, 0))(rows())),
        *(layers.Activation(name)(image()) for name in _ACTIVATIONS),
    ]
    return keras.Model(x, branches)


@pytest.mark.slow
def test_layers_of_keras_equal_the_reference(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = [[rng.normal(size=_SHAPE).astype(np.float32)] for _ in range(20)]
    content = convert_int8(model_of_many_layers(), lambda: samples)
    graph = read_graph(content)
    inputs = [random_inputs(rng, graph) for _ in range(3)]
    assert_every_tensor_equals_reference(graph, inputs, tmp_path, model=content)
    # The test would say little if the converter made other ops of the layers.
    assert {op.opcode for op in graph.operators} >= {
        "ABS",
        "BATCH_MATMUL",
        "EXP",
        "GELU",
        "GREATER",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOG",
        "LOG_SOFTMAX",
        "MAXIMUM",
        "PRELU",
        "REDUCE_MAX",
        "RESIZE_BILINEAR",
        "SELECT_V2",
        "STRIDED_SLICE",
        "SUB",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
        "UNPACK",
    }

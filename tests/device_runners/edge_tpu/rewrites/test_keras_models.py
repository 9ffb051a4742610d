"""Keras models that TensorFlow 2.19's plain conversion breaks for the Edge TPU: before and after.

Each is converted in the naive way, with the batch left open, and by this package's own route.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support.keras_models import uniform_samples
from support.naive_conversion import naive_int8_of

from converters.tflite import write_graph
from converters.tflite.convert import convert_int8
from converters.tflite.graph import Graph
from converters.tflite.reader import read_graph
from device_runners.edge_tpu.preflight import preflight
from device_runners.edge_tpu.rewrites import rewrite
from device_runners.edge_tpu.rewrites.effect import measure


def _model(shape: tuple[int, ...], layers_of: Callable[[Any, Any], Any]) -> Any:
    import keras

    x = keras.Input(shape)
    return keras.Model(x, layers_of(keras.layers, x))


def _image(layers: Any, x: Any) -> Any:
    return layers.Conv2D(8, 3, padding="same", activation="relu")(x)


def flatten() -> Any:
    return _model((8, 8, 3), lambda layers, x: layers.Dense(5)(layers.Flatten()(_image(layers, x))))


def conv_2d_transpose() -> Any:
    def layers_of(layers: Any, x: Any) -> Any:
        y = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(_image(layers, x))
        y = layers.ReLU()(layers.BatchNormalization(beta_initializer="ones")(y))
        return layers.Conv2DTranspose(3, 2, strides=2)(y)

    return _model((8, 8, 3), layers_of)


def conv_2d_transpose_relu6() -> Any:
    def layers_of(layers: Any, x: Any) -> Any:
        y = layers.Conv2DTranspose(4, 3, strides=2)(_image(layers, x))
        return layers.ReLU(6.0)(layers.BatchNormalization(beta_initializer="ones")(y))

    return _model((8, 8, 3), layers_of)


def grouped_convolution() -> Any:
    def layers_of(layers: Any, x: Any) -> Any:
        y = layers.Conv2D(12, 3, groups=4, padding="same", activation="relu")(_image(layers, x))
        return layers.Conv2D(4, 1)(y)

    return _model((8, 8, 3), layers_of)


def upsampling_2d() -> Any:
    def layers_of(layers: Any, x: Any) -> Any:
        y = layers.Conv2D(4, 3)(layers.UpSampling2D(2)(_image(layers, x)))
        return layers.UpSampling2D((2, 3))(y)

    return _model((6, 6, 3), layers_of)


def upsampling_1d() -> Any:
    def layers_of(layers: Any, x: Any) -> Any:
        return layers.Conv1D(3, 3)(layers.UpSampling1D(2)(layers.Conv1D(4, 3, padding="same")(x)))

    return _model((12, 3), layers_of)


def dense_on_a_sequence() -> Any:
    def layers_of(layers: Any, x: Any) -> Any:
        y = layers.Dense(6)(layers.Dense(8, activation="relu")(x))
        return layers.Dense(4)(layers.Flatten()(y))

    return _model((10, 5), layers_of)


def leaky_relu() -> Any:
    return _model(
        (8, 8, 3),
        lambda layers, x: layers.Conv2D(4, 1)(layers.LeakyReLU(0.2)(layers.Conv2D(8, 3)(x))),
    )


def dilated_convolution() -> Any:
    def layers_of(layers: Any, x: Any) -> Any:
        y = layers.Conv2D(4, 3, dilation_rate=2, padding="same", activation="relu")(x)
        return layers.DepthwiseConv2D(3, dilation_rate=3)(y)

    return _model((16, 16, 3), layers_of)


def relu_behind_a_pool() -> Any:
    def layers_of(layers: Any, x: Any) -> Any:
        return layers.Conv2D(4, 1)(layers.ReLU()(layers.MaxPool2D()(layers.Conv2D(8, 3)(x))))

    return _model((8, 8, 3), layers_of)


def unrolled_lstm() -> Any:
    return _model((6, 4), lambda layers, x: layers.Dense(3)(layers.LSTM(5, unroll=True)(x)))


def arg_max() -> Any:
    import keras

    class ArgMax(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            import tensorflow as tf

            return tf.argmax(x, axis=-1, output_type=tf.int32)

    return _model((6, 6, 3), lambda layers, x: ArgMax()(layers.Conv2D(5, 1)(_image(layers, x))))


def softplus() -> Any:
    def layers_of(layers: Any, x: Any) -> Any:
        return layers.Activation("softplus")(layers.Conv2D(4, 1)(_image(layers, x)))

    return _model((6, 6, 3), layers_of)


@dataclass(frozen=True)
class Row:
    """A model, what blocks it when it is converted naively, and what helps.

    ``fixed_blocked`` is what blocks it with the batch fixed at 1: "" for nothing.
    """

    build: Callable[[], Any]
    blocked: str
    fixed_blocked: str
    passes: tuple[str, ...]
    tail: tuple[str, ...] = ()


UNSPECIFIED = "some unspecified limitation"
STATIC, DENSE = "static-sized", "Operation version not supported"
ROWS = (
    Row(flatten, STATIC, "", ("fix_batch",)),
    Row(conv_2d_transpose, STATIC, "TRANSPOSE_CONV", ("fix_batch", "transpose_conv")),
    Row(conv_2d_transpose_relu6, STATIC, "TRANSPOSE_CONV", ("fix_batch", "transpose_conv")),
    Row(grouped_convolution, "CONV_2D", "CONV_2D", ("grouped_convolution", "lower_versions")),
    Row(upsampling_2d, STATIC, "TILE", ("fix_batch", "upsampling")),
    Row(upsampling_1d, STATIC, "TILE", ("fix_batch", "upsampling")),
    Row(dense_on_a_sequence, STATIC, DENSE, ("fix_batch", "dense_to_convolution")),
    Row(leaky_relu, "Operation not supported", "Operation not supported", ("leaky_relu",)),
    Row(dilated_convolution, "not supported", "", ("fix_batch", "dilated_convolution")),
    Row(relu_behind_a_pool, UNSPECIFIED, UNSPECIFIED, ("fused_activation",)),
    Row(unrolled_lstm, STATIC, "", ("fix_batch", "unpack")),
    Row(arg_max, "unsupported data type", "unsupported data type", ("cut_tail",), ("ARG_MAX",)),
    Row(softplus, "EXP", "EXP", ("cut_tail",), ("EXP", "ADD", "LOG")),
)


def statuses(graph: Graph) -> str:
    return "; ".join(op.status for op in preflight(graph).ops if not op.mapped)


def assert_cured(graph: Graph, row: Row, blocked: str) -> None:
    before = preflight(graph)
    if blocked:
        assert blocked in statuses(graph)
        assert before.mapped_ops < before.total_ops
    rewritten = rewrite(graph)
    after = preflight(rewritten.graph)
    assert not after.refused
    assert [op.output for op in after.ops if not op.mapped] == []
    assert not any(op.at_risk for op in after.ops)
    tail = () if rewritten.tail is None else rewritten.tail.operators
    assert tuple(op.opcode for op in tail) == row.tail
    effect = measure(graph, rewritten, count=5)
    assert effect.elements > 0
    assert (effect.differing, effect.max_difference) == (0, 0)
    assert rewrite(rewritten.graph).applied == ()
    write_graph(rewritten.graph)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.build.__name__)
def test_a_naive_conversion(row: Row) -> None:
    graph = read_graph(naive_int8_of(row.build))
    assert_cured(graph, row, row.blocked)
    applied = [one.name for one in rewrite(graph).applied]
    assert set(row.passes) <= set(applied)


# With the batch fixed the converter sometimes computes a recurrent layer's splits in float, and
# sometimes not: the names of the layers decide.
@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row.build is not unrolled_lstm],
    ids=lambda row: row.build.__name__,
)
def test_a_conversion_with_the_batch_fixed(row: Row) -> None:
    graph = read_graph(naive_int8_of(row.build, fixed_batch=True))
    assert_cured(graph, row, row.fixed_blocked)
    assert (rewrite(graph).graph is graph) is (row.fixed_blocked == "")


@pytest.mark.slow
def test_a_conversion_by_this_package() -> None:
    import keras

    keras.utils.set_random_seed(5)
    model = upsampling_2d()
    samples = uniform_samples(8, model.inputs[0].shape[1:])
    graph = read_graph(convert_int8(model, lambda: samples))
    assert_cured(graph, next(row for row in ROWS if row.build is upsampling_2d), "TILE")


@pytest.mark.parametrize("build", [flatten, upsampling_2d, dense_on_a_sequence])
def test_both_routes_end_in_the_same_operators(build: Callable[[], Any]) -> None:
    """What is left of an open batch is nothing: the shapes come out as if it had been fixed."""
    naive, fixed = (
        rewrite(read_graph(naive_int8_of(build, fixed_batch=fixed_batch))).graph
        for fixed_batch in (False, True)
    )
    assert [(op.opcode, op.version, naive.outputs_of(op)[0].shape) for op in naive.operators] == [
        (op.opcode, op.version, fixed.outputs_of(op)[0].shape) for op in fixed.operators
    ]


@pytest.mark.parametrize("io_type", ["float32", "uint8"])
def test_other_types_of_inputs_and_outputs(io_type: str) -> None:
    graph = read_graph(naive_int8_of(flatten, io_type=io_type))
    rewritten = rewrite(graph)
    after = preflight(rewritten.graph)
    assert after.mapped_ops == after.total_ops
    kept = "int8" if io_type == "float32" else "uint8"
    assert {t.type.dtype for t in rewritten.graph.input_tensors} == {np.dtype(kept)}
    assert measure(graph, rewritten, count=5).differing == 0

"""Every layer of the coverage list: quantize, one step of training, convert, compare.

The int8 file and the simulated model may differ by one step for each operation that rounds: the
simulation computes in float what the file computes in integers with a 31-bit multiplier, and a
value at the boundary of two steps can fall on either side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.conversion import conversion_in_this_process

from converters.errors import TidepoolError
from converters.load.keras_runtime import import_keras
from converters.qat import convert_quantized, quantize_model
from converters.tflite.affine import quantize
from converters.tflite.graph import Graph, TensorType
from converters.tflite.reader import read_graph
from converters.tflite.verify import check_full_integer
from device_runners.host.oracle import Oracle

keras = import_keras()
L = keras.layers
ops = keras.ops
SAMPLES = 16

# Rounds nothing: these only move values.
MOVES = {"RESHAPE", "TRANSPOSE", "PAD", "STRIDED_SLICE", "SLICE", "MAX_POOL_2D", "CONCATENATION"}


def image(layer: Callable[[Any], Any], shape: tuple[int, ...] = (8, 8, 4)) -> Callable[[], Any]:
    def build() -> Any:
        inputs = keras.Input(shape)
        return keras.Model(inputs, layer(inputs))

    return build


def sequence(layer: Callable[[Any], Any]) -> Callable[[], Any]:
    return image(layer, (12, 4))


def shared_dense() -> Any:
    first, second = keras.Input((6,), name="first"), keras.Input((6,), name="second")
    dense = L.Dense(5, activation="relu")
    return keras.Model([first, second], L.concatenate([dense(first), dense(second)]))


def shared_conv_batch_norm() -> Any:
    inputs = keras.Input((8, 8, 4))
    conv, normalize = L.Conv2D(4, 3, padding="same"), L.BatchNormalization()
    once = normalize(conv(inputs))
    return keras.Model(inputs, normalize(conv(L.ReLU()(once))))


def shared_conv_two_batch_norms() -> Any:
    inputs = keras.Input((8, 8, 4))
    conv = L.Conv2D(4, 3, padding="same")
    first = L.BatchNormalization()(conv(inputs))
    return keras.Model(inputs, L.BatchNormalization()(conv(L.ReLU()(first))))


def nested() -> Any:
    block = keras.Sequential(
        [keras.Input((8, 8, 4)), L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU()]
    )
    inner_input = keras.Input((8, 8, 4))
    inner = keras.Model(inner_input, L.Add()([inner_input, block(inner_input)]))
    inputs = keras.Input((8, 8, 4))
    return keras.Model(inputs, L.GlobalAveragePooling2D()(inner(inner(inputs))))


def several_inputs_and_outputs() -> Any:
    left, right = keras.Input((8, 8, 4), name="left"), keras.Input((8, 8, 2), name="right")
    x = L.Concatenate()([left, L.Conv2D(3, 1)(right)])
    pooled = L.GlobalAveragePooling2D()(x)
    return keras.Model(
        {"left": left, "right": right},
        {"logits": L.Dense(3)(pooled), "map": L.Conv2D(1, 1, activation="sigmoid")(x)},
    )


def concatenated_fixed_and_free(x: Any) -> Any:
    return L.Concatenate()([L.Conv2D(2, 1, activation="sigmoid")(x), L.Conv2D(2, 1)(x)])


def residual_with_two_readers(x: Any) -> Any:
    x = L.Conv2D(4, 1)(x)
    return L.Add()([L.ReLU()(x), x])


def pre_activation(x: Any) -> Any:
    y = L.ReLU()(L.BatchNormalization()(x))
    return L.Add()([x, L.Conv2D(4, 3, padding="same")(y)])


def adapted_normalization(x: Any) -> Any:
    layer = L.Normalization(mean=[0.1, 0.2, 0.3, -0.4], variance=[1.0, 2.0, 0.5, 1.5])
    return L.Conv2D(3, 3)(layer(x))


CASES: dict[str, Callable[[], Any]] = {
    "conv1d": sequence(L.Conv1D(6, 3, padding="same")),
    "conv1d strided relu": sequence(L.Conv1D(6, 3, strides=2, activation="relu")),
    "conv1d dilated": sequence(L.Conv1D(6, 3, dilation_rate=2)),
    "conv2d": image(L.Conv2D(6, 3)),
    "conv2d grouped": image(L.Conv2D(6, 3, groups=2)),
    "conv2d dilated": image(L.Conv2D(6, 3, dilation_rate=2, padding="same")),
    "conv2d without bias": image(L.Conv2D(6, 3, use_bias=False, activation="relu6")),
    "conv2d transposed": image(L.Conv2DTranspose(5, 3, strides=2, padding="same")),
    "depthwise 1d": sequence(L.DepthwiseConv1D(3, padding="same")),
    "depthwise 2d": image(L.DepthwiseConv2D(3, strides=2, padding="same")),
    "depthwise multiplier": image(L.DepthwiseConv2D(3, depth_multiplier=2)),
    "depthwise dilated": image(L.DepthwiseConv2D(3, dilation_rate=2, padding="same")),
    "separable 1d": sequence(L.SeparableConv1D(6, 3, activation="relu")),
    "separable 2d": image(L.SeparableConv2D(6, 3, activation="relu", depth_multiplier=2)),
    "dense": image(L.Dense(7, activation="relu"), (10,)),
    "dense 3d": sequence(L.Dense(7)),
    "conv bn relu": image(
        lambda x: L.ReLU()(L.BatchNormalization()(L.Conv2D(6, 3, use_bias=False)(x)))
    ),
    "transposed conv bn": image(
        lambda x: L.ReLU()(L.BatchNormalization()(L.Conv2DTranspose(5, 2, strides=2)(x)))
    ),
    "conv1d bn": sequence(lambda x: L.ReLU()(L.BatchNormalization()(L.Conv1D(6, 3)(x)))),
    "dense bn": image(lambda x: L.BatchNormalization()(L.Dense(6)(x)), (10,)),
    "bn first": image(lambda x: L.Conv2D(3, 3)(L.BatchNormalization()(x))),
    "bn alone on a vector": image(L.BatchNormalization(), (10,)),
    "bn after pooling": sequence(lambda x: L.BatchNormalization()(L.MaxPooling1D()(x))),
    "pre-activation": image(pre_activation),
    "relu": image(L.ReLU()),
    "relu with a maximum": image(L.ReLU(max_value=1.5)),
    "relu with a slope": image(L.ReLU(negative_slope=0.25)),
    "leaky relu": image(lambda x: L.LeakyReLU(0.1)(L.Conv2D(4, 1)(x))),
    "prelu": image(L.PReLU(shared_axes=[1, 2], alpha_initializer="random_uniform")),
    "hard swish": image(lambda x: L.Activation("hard_swish")(L.Conv2D(4, 1)(x))),
    "hard sigmoid": image(L.Activation("hard_sigmoid")),
    "sigmoid": image(L.Activation("sigmoid")),
    "tanh": image(L.Activation("tanh")),
    "softmax": image(L.Softmax(), (10,)),
    "swish": image(L.Conv2D(4, 1, activation="swish")),
    "gelu": image(L.Activation("gelu")),
    "add": image(lambda x: L.Add()([x, L.Conv2D(4, 1)(x), L.Conv2D(4, 1)(x)])),
    "add relu": image(lambda x: L.ReLU()(L.Add()([x, L.Conv2D(4, 1)(x)]))),
    "subtract": image(lambda x: L.Subtract()([x, L.Conv2D(4, 1)(x)])),
    "multiply": image(lambda x: L.Multiply()([x, L.Conv2D(4, 1)(x)])),
    "multiply by a channel gate": image(
        lambda x: L.Multiply()(
            [x, L.Conv2D(4, 1, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))]
        )
    ),
    "average": image(lambda x: L.Average()([x, L.Conv2D(4, 1)(x)])),
    "maximum": image(lambda x: L.Maximum()([x, L.Conv2D(4, 1)(x)])),
    "concatenate": image(lambda x: L.Concatenate()([x, L.Conv2D(2, 1)(x)])),
    "concatenate fixed and free": image(concatenated_fixed_and_free),
    "max pooling 1d": sequence(L.MaxPooling1D()),
    "average pooling 1d": sequence(L.AveragePooling1D(2)),
    "max pooling 2d": image(L.MaxPooling2D(3, strides=2, padding="same")),
    "average pooling 2d": image(L.AveragePooling2D(3, strides=2, padding="same")),
    "global average 1d": sequence(L.GlobalAveragePooling1D()),
    "global max 1d": sequence(L.GlobalMaxPooling1D()),
    "global average 2d": image(L.GlobalAveragePooling2D()),
    "global max 2d": image(L.GlobalMaxPooling2D()),
    "flatten": image(lambda x: L.Dense(3)(L.Flatten()(x))),
    "reshape": image(lambda x: L.Conv1D(3, 3)(L.Reshape((16, 16))(x))),
    "permute": image(lambda x: L.Conv2D(3, 3)(L.Permute((2, 1, 3))(x))),
    "zero padding 1d": sequence(lambda x: L.Conv1D(3, 3)(L.ZeroPadding1D(1)(x))),
    "zero padding 2d": image(lambda x: L.Conv2D(3, 3)(L.ZeroPadding2D(((0, 1), (0, 1)))(x))),
    "cropping 1d": sequence(L.Cropping1D(2)),
    "cropping 2d": image(L.Cropping2D(2)),
    "upsampling 1d": sequence(lambda x: L.Conv1D(3, 3)(L.UpSampling1D(2)(x))),
    "upsampling nearest": image(lambda x: L.Conv2D(3, 3)(L.UpSampling2D(2)(x))),
    "upsampling bilinear": image(L.UpSampling2D(2, interpolation="bilinear")),
    "dropout": image(lambda x: L.Dense(3)(L.Dropout(0.3)(L.Dense(9)(x))), (10,)),
    "noise": image(lambda x: L.Conv2D(3, 3)(L.GaussianNoise(0.1)(x))),
    "rescaling": image(lambda x: L.Conv2D(3, 3)(L.Rescaling(1 / 127.5, -1.0)(x))),
    "rescaling by channel": image(
        lambda x: L.Conv2D(3, 3)(L.Rescaling([0.1, 0.2, 0.3, 0.4], [-1.0, 0.0, 0.5, 1.0])(x))
    ),
    "normalization": image(adapted_normalization),
    "repeat vector": image(lambda x: L.Conv1D(3, 2)(L.RepeatVector(4)(x)), (10,)),
    "nested": nested,
    "shared dense": shared_dense,
    "shared conv and bn": shared_conv_batch_norm,
    "shared conv, two bns": shared_conv_two_batch_norms,
    "several inputs and outputs": several_inputs_and_outputs,
    "residual with two readers": image(residual_with_two_readers),
    "ops relu and add": image(lambda x: ops.relu(L.Conv2D(4, 1)(x) + x)),
    "ops with constants": image(lambda x: L.Conv2D(4, 1)(x) * 0.5 + 3.0),
    "ops mean": image(lambda x: ops.mean(L.Conv2D(4, 1)(x), axis=(1, 2))),
    "ops reshape transpose": image(
        lambda x: ops.transpose(ops.reshape(L.Conv2D(4, 1)(x), (-1, 16, 16)), (0, 2, 1))
    ),
    "ops concatenate": image(lambda x: ops.concatenate([x, ops.sigmoid(x)], axis=-1)),
}


def samples_of(model: Any) -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    return [
        generator.normal(0, 1, (SAMPLES, *tensor.shape[1:])).astype(np.float32)
        for tensor in model.inputs
    ]


def train_a_step(model: Any, inputs: list[np.ndarray]) -> None:
    structure = pack_inputs(model, inputs)
    outputs = model(structure, training=False)
    # Whatever the targets: a step moves weights, statistics and ranges.
    targets = keras.tree.map_structure(lambda tensor: np.ones(tensor.shape, np.float32), outputs)
    model.compile(keras.optimizers.SGD(0.01), keras.tree.map_structure(lambda _: "mse", targets))
    model.fit(structure, targets, batch_size=SAMPLES, epochs=2, verbose=0)


def pack_inputs(model: Any, inputs: list[np.ndarray]) -> Any:
    return keras.tree.pack_sequence_as(model._inputs_struct, inputs)


def worst_difference(graph: Graph, content: bytes, model: Any, inputs: list[np.ndarray]) -> int:
    """In steps of the outputs' grids, over all samples and outputs."""
    oracle = Oracle(content)
    simulated = keras.tree.flatten(model.predict(pack_inputs(model, inputs), verbose=0))
    worst = 0
    for index in range(SAMPLES):
        quantized = [
            quantize(array[index : index + 1], tensor)
            for array, tensor in zip(inputs, graph.input_tensors, strict=True)
        ]
        results = oracle.run(quantized)
        for result, want, tensor in zip(results, simulated, graph.output_tensors, strict=True):
            expected = quantize(want[index : index + 1], tensor).astype(np.int32)
            worst = max(worst, int(np.abs(result.astype(np.int32) - expected).max()))
    return worst


def check_case(build: Callable[[], Any], scheme: str = "int8") -> tuple[Graph, int]:
    keras.utils.set_random_seed(3)
    model = quantize_model(build(), scheme)
    inputs = samples_of(model)
    train_a_step(model, inputs)
    with conversion_in_this_process():
        content = convert_quantized(model)
    graph = read_graph(content)
    check_full_integer(graph)
    return graph, worst_difference(graph, content, model, inputs)


def rounding_ops(graph: Graph) -> int:
    return sum(operator.opcode not in MOVES for operator in graph.operators)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_layer_trains_and_converts_to_the_same_integers(name: str) -> None:
    graph, worst = check_case(CASES[name])
    assert worst <= max(1, rounding_ops(graph))


# A step is 256 times finer than with 8 bits: the rounding of multipliers and of the tables of
# LOGISTIC, TANH and SOFTMAX shows. 8 steps of 65536 are 1/32 of a step of int8.
STEPS_OF_INT16 = 8
NOT_WIDE = {"hard swish": "HARD_SWISH", "prelu": "PRELU", "gelu": "GELU"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name not in NOT_WIDE])
def test_layer_converts_with_16_bit_activations(name: str) -> None:
    graph, worst = check_case(CASES[name], "int8_int16")
    types = {tensor.type for tensor in (*graph.input_tensors, *graph.output_tensors)}
    assert types == {TensorType.INT16}
    assert worst <= STEPS_OF_INT16


@pytest.mark.slow
@pytest.mark.parametrize("name", NOT_WIDE)
def test_an_operation_without_a_16_bit_kernel_is_named(name: str) -> None:
    with pytest.raises(TidepoolError, match=f"{NOT_WIDE[name]}.*no 16-bit kernel"):
        check_case(CASES[name], "int8_int16")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["conv1d bn", "conv2d grouped", "conv2d transposed", "separable 2d", "dense 3d"]
)
def test_layer_converts_with_4_bit_weights(name: str) -> None:
    graph, worst = check_case(CASES[name], "int4")
    assert worst <= max(1, rounding_ops(graph))


@pytest.mark.slow
def test_a_process_of_its_own_converts_to_the_same_bytes() -> None:
    model = quantize_model(CASES["conv bn relu"](), "int8")
    train_a_step(model, samples_of(model))
    with conversion_in_this_process():
        here = convert_quantized(model)
    assert convert_quantized(model) == here

"""What naive conversion leaves off the Edge TPU maps after the rewrites, and computes as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from converters.errors import TidepoolError
from converters.tflite.convert import convert_int8
from converters.tflite.graph import Graph
from converters.tflite.reader import read_graph
from device_runners.edge_tpu.keras_rewrites import REWRITES, rewrite_model
from device_runners.edge_tpu.preflight import Preflight, preflight
from device_runners.host.oracle import Oracle

SHAPE = (4, 4, 8)
OPS = {rewrite.name: rewrite.ops for rewrite in REWRITES}
Function = Callable[[Any], Any]


@pytest.fixture(scope="module")
def keras() -> Any:
    from converters.load.keras_runtime import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(6)
    return keras


@dataclass
class Converted:
    """An int8 model, what preflight says of it, and its outputs against a float model's."""

    graph: Graph
    prediction: Preflight
    errors: list[Any]

    def ops(self, output: int) -> Counter[str]:
        """The ops that an output needs."""
        pending, found = [self.graph.outputs[output]], {}
        while pending:
            op = self.graph.producer(pending.pop())
            if op is not None and op.index not in found:
                found[op.index] = op.opcode
                pending += op.inputs
        return Counter(found.values())

    def worst(self, output: int) -> float:
        return float(np.abs(self.errors[output]).max())


def branches(keras: Any, functions: Sequence[Function], shape: tuple[int, ...] = SHAPE) -> Any:
    """A model that applies each function to an input of its own."""
    inputs = [keras.Input(shape, name=f"x{number}") for number in range(len(functions))]
    outputs = [function(x) for function, x in zip(functions, inputs, strict=True)]
    return keras.Model(inputs, outputs)


def converted(model: Any, of: Any, compare: bool = True, limit: float = 8.0) -> Converted:
    """Converts a model and takes its errors from ``of``, in LSB of each output.

    ``of`` computes in float on the same quantized inputs: what is left is the error of computing.
    """
    generator = np.random.default_rng(0)
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    samples = [
        [generator.uniform(-limit, limit, shape).astype(np.float32) for shape in shapes]
        for _ in range(24)
    ]
    for array in samples[0]:
        array.flat[:2] = -limit, limit
    content = convert_int8(model, lambda: samples)
    graph = read_graph(content)
    result = Converted(graph, preflight(graph), [])
    if not compare:
        return result
    oracle, errors = Oracle(content), []
    for sample in samples:
        pairs = list(zip(sample, graph.input_tensors, strict=True))
        codes = [np.clip(np.round(x / t.scale) + t.zero_point, -128, 127) for x, t in pairs]
        given = [(q - t.zero_point) * t.scale for q, (_, t) in zip(codes, pairs, strict=True)]
        found = oracle.run([q.astype(np.int8)[None] for q in codes])
        arrays = [x.astype(np.float32)[None] for x in given]
        wanted = of(arrays if len(arrays) > 1 else arrays[0])
        wanted = wanted if isinstance(wanted, list | tuple) else [wanted]
        errors.append(
            [
                (f.astype(float) - t.zero_point) - np.asarray(w) / t.scale
                for f, w, t in zip(found, wanted, graph.output_tensors, strict=True)
            ]
        )
    result.errors = [np.stack(each) for each in zip(*errors, strict=True)]
    return result


def with_random_weights(layer: Any) -> Function:
    """The layer, as a function that gives it random weights once it has some."""

    def call(x: Any) -> Any:
        y = layer(x)
        generator = np.random.default_rng(3)
        layer.set_weights([generator.uniform(0.1, 0.9, w.shape) for w in layer.get_weights()])
        return y

    return call


@pytest.mark.slow
def test_activations_before_and_after(keras: Any) -> None:
    """One conversion before and one after: each takes seconds."""
    layers = keras.layers
    # For each its rewrite, and the largest error in LSB before and after.
    cases: list[tuple[str, Function, float, float]] = [
        ("gelu", layers.Activation("gelu"), 0.6, 1.5),
        ("leaky_relu", layers.LeakyReLU(0.1), 0.9, 0.6),
        ("prelu", with_random_weights(layers.PReLU()), 0.9, 0.9),
        ("hard_silu", layers.Activation("hard_swish"), 0.6, 0.9),
        ("softplus", layers.Activation("softplus"), 70, 0.9),
        ("log_sigmoid", layers.Activation("log_sigmoid"), 70, 0.9),
        ("mish", layers.Activation("mish"), 60, 2.0),
    ]
    names = [name for name, *_ in cases]
    model = branches(keras, [function for _, function, *_ in cases])
    before = converted(model, model)
    assert before.prediction.mapped_ops == 0
    refused = " ".join(finding.message for finding in before.prediction.refused)
    assert all(f"'{op}'" in refused for op in ("EXP", "LOG"))
    assert "Op builtin_code out of range" in refused  # GELU
    assert before.prediction.first_blocker is not None
    stuck = ("GELU", "LEAKY_RELU", "PRELU", "HARD_SWISH", "EXP", "EXP", "EXP")
    for number, op in enumerate(stuck):
        assert op in before.ops(number)

    rewritten = rewrite_model(model)
    assert {applied.name for applied in rewritten.applied} == set(names)
    after = converted(rewritten.model, model)
    assert after.prediction.refused == ()
    assert after.prediction.first_blocker is None
    assert after.prediction.mapped_ops == after.prediction.total_ops
    for number, (name, _, worst_before, worst_after) in enumerate(cases):
        assert after.ops(number) == Counter(OPS[name]), name
        # Errors before of several LSB are what EXP and LOG make in int8.
        assert 0.5 * worst_before < before.worst(number) <= worst_before, name
        assert 0.25 < after.worst(number) <= worst_after, name


@pytest.mark.slow
def test_activations_that_select_or_divide(keras: Any) -> None:
    layers = keras.layers
    cases: list[tuple[str, Function, float]] = [
        ("elu", layers.ELU(), 1.0),
        ("elu", layers.Activation("selu"), 1.6),
        ("clipped_leaky_relu", layers.ReLU(6.0, negative_slope=0.1), 0.9),
        ("squareplus", layers.Activation("squareplus"), 4.5),
        ("soft_shrink", layers.Activation("soft_shrink"), 0.9),
        ("sparse_sigmoid", layers.Activation("sparse_sigmoid"), 0.6),
        ("sparse_plus", layers.Activation("sparse_plus"), 0.6),
        ("layer_normalization", with_random_weights(layers.LayerNormalization()), 3.0),
    ]
    model = branches(keras, [function for _, function, _ in cases])
    before = converted(model, model, compare=False)
    assert before.prediction.mapped_ops == 0
    missing = ("ELU", "EXP", "NEG", "SQRT", "SELECT_V2", "SELECT_V2", "SELECT_V2", "NEG")
    for number, op in enumerate(missing):
        assert op in before.ops(number)

    # Beside the others, since the converter refuses a softsign altogether.
    cases.append(("softsign", layers.Activation("softsign"), 2.5))
    model = branches(keras, [function for _, function, _ in cases])
    after = converted(rewrite_model(model).model, model)
    assert after.prediction.refused == ()
    assert after.prediction.mapped_ops == after.prediction.total_ops
    for number, (name, _, worst) in enumerate(cases):
        expected = Counter(OPS[name])
        if number == 1:
            # selu scales what its ReLU takes: a MUL with the ReLU in it.
            expected = expected + Counter(MUL=1) - Counter(RELU=1)
        assert after.ops(number) == expected, name
        assert after.worst(number) <= worst, name


@pytest.mark.slow
def test_the_converter_refuses_a_softsign(keras: Any) -> None:
    model = branches(keras, [keras.layers.Activation("softsign")])
    with pytest.raises(TidepoolError, match="Softsign"):
        converted(model, model)


@pytest.mark.slow
def test_a_softplus_head_behind_a_convolution(keras: Any) -> None:
    layers = keras.layers
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(8, 3, strides=2, activation="leaky_relu")(x)
    y = layers.GlobalAveragePooling2D()(y)
    model = keras.Model(x, layers.Dense(4, activation="softplus")(y))
    before = converted(model, model)
    assert (before.prediction.mapped_ops, before.prediction.share.macs) == (0, 0)
    after = converted(rewrite_model(model).model, model)
    assert after.prediction.mapped_ops == after.prediction.total_ops
    assert after.prediction.share.macs == 1
    assert after.worst(0) < before.worst(0)


@pytest.mark.slow
def test_recurrent_layers(keras: Any) -> None:
    layers = keras.layers
    model = branches(keras, [layers.LSTM(6, return_sequences=True), layers.GRU(6)], (3, 5))
    with pytest.raises(TidepoolError, match="crashed"):
        converted(model, model)
    after = converted(rewrite_model(model).model, model, limit=2.0)
    assert after.prediction.refused == ()
    assert after.prediction.mapped_ops == after.prediction.total_ops
    assert after.worst(0) <= 4
    assert after.worst(1) <= 4


@pytest.mark.slow
def test_quantization_aware_training_takes_the_rewritten_model(keras: Any) -> None:
    from converters.qat import convert_quantized, quantize_model

    layers = keras.layers
    x = keras.Input((6, 6, 3))
    y = x
    for function in ("gelu", "leaky_relu", "hard_silu", "elu", "softplus", "mish"):
        y = layers.Conv2D(4, 1, activation=function)(y)
    model = keras.Model(x, layers.PReLU(alpha_initializer="uniform")(y))
    quantized = quantize_model(rewrite_model(model).model, "edge_tpu")
    quantized.compile("sgd", "mse")
    samples = np.random.default_rng(0).normal(0, 1, (16, 6, 6, 3)).astype(np.float32)
    quantized.fit(samples, np.asarray(model(samples)), epochs=1, verbose=0)
    prediction = preflight(read_graph(convert_quantized(quantized)))
    assert prediction.refused == ()
    assert prediction.mapped_ops == prediction.total_ops

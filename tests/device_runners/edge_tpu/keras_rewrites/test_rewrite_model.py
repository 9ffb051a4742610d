"""Where rewrites match, and what the rewritten model keeps of the one given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.errors import TidepoolError
from device_runners.edge_tpu.keras_rewrites import RewrittenModel, rewrite_model


@pytest.fixture(scope="module")
def keras() -> Any:
    from converters.load.keras_runtime import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(4)
    return keras


def samples(model: Any, count: int = 5) -> Any:
    generator = np.random.default_rng(0)
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    arrays = [generator.normal(0, 1.5, (count, *shape)).astype(np.float32) for shape in shapes]
    return arrays if len(arrays) > 1 else arrays[0]


def assert_same(model: Any, rewritten: RewrittenModel, tolerance: float = 1e-5) -> None:
    data = samples(model)
    before, after = model(data), rewritten.model(data)
    if not isinstance(before, list | tuple | dict):
        before, after = [before], [after]
    pairs = zip(before, after, strict=True)
    if isinstance(before, dict):
        assert list(before) == list(after)
        pairs = zip(before.values(), after.values(), strict=True)
    for left, right in pairs:
        np.testing.assert_allclose(right, left, atol=tolerance, rtol=tolerance)


def kinds(model: Any) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


def test_a_model_that_maps_is_returned_itself(keras: Any) -> None:
    layers = keras.layers
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu")(x)
    y = layers.Conv2D(4, 3, activation="swish")(layers.PReLU(shared_axes=[1, 2])(y))
    y = layers.ReLU(6.0)(layers.Activation("hard_sigmoid")(y))
    model = keras.Model(x, layers.Dense(3, activation="softmax")(layers.Flatten()(y)))
    rewritten = rewrite_model(model)
    assert rewritten.model is model
    assert (rewritten.applied, rewritten.left, rewritten.exact) == ((), (), True)


def test_an_activation_inside_a_layer(keras: Any) -> None:
    layers = keras.layers
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, activation="leaky_relu", name="conv")(x)
    y = layers.SeparableConv2D(4, 3, activation=layers.LeakyReLU(0.3), name="separable")(y)
    model = keras.Model(x, layers.Dense(2, activation="hard_swish", name="head")(y))
    weights = [np.array(w) for w in model.get_weights()]
    rewritten = rewrite_model(model)
    assert {(a.name, a.layers) for a in rewritten.applied} == {
        ("leaky_relu", ("conv", "separable")),
        ("hard_silu", ("head",)),
    }
    assert_same(model, rewritten)
    conv = rewritten.model.get_layer("conv")
    assert conv.activation is keras.activations.linear
    np.testing.assert_array_equal(conv.kernel, weights[0])
    # The model given is as it was, and shares nothing with the new one.
    assert model.get_layer("conv").activation is keras.activations.leaky_relu
    for layer in rewritten.model.layers:
        layer.set_weights([w + 1 for w in layer.get_weights()])
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_outputs_keep_their_names_and_structure(keras: Any) -> None:
    layers = keras.layers
    x = keras.Input((6,), name="features")
    hidden = layers.Dense(5, activation="gelu", name="hidden")(x)
    outputs = {
        "a": layers.Dense(3, activation="softplus", name="first")(hidden),
        "b": layers.ELU(name="second")(layers.Dense(2)(hidden)),
    }
    model = keras.Model({"features": x}, outputs)
    rewritten = rewrite_model(model)
    assert rewritten.model.output_names == model.output_names
    assert [tensor.name for tensor in rewritten.model.inputs] == ["features"]
    assert list(rewritten.model.output) == ["a", "b"]
    for head, name in zip(rewritten.model.output.values(), ("first", "second"), strict=True):
        assert head._keras_history.operation.name == name
    assert {a.name: a.layers for a in rewritten.applied} == {
        "gelu": ("hidden",),
        "softplus": ("first",),
        "elu": ("second",),
    }
    data = {"features": samples(model)}
    for before, after in zip(model(data).values(), rewritten.model(data).values(), strict=True):
        np.testing.assert_allclose(after, before, atol=0.05)


def test_only_exact_rewrites_on_request(keras: Any) -> None:
    layers = keras.layers
    x = keras.Input((6,))
    y = layers.LeakyReLU(0.1)(layers.Dense(5, activation="gelu", name="dense")(x))
    model = keras.Model(x, y)
    rewritten = rewrite_model(model, approximate=False)
    assert [applied.name for applied in rewritten.applied] == ["leaky_relu"]
    assert rewritten.exact
    assert rewritten.model.get_layer("dense").activation is keras.activations.gelu
    assert_same(model, rewritten)
    assert not rewrite_model(model).exact


def test_nested_and_shared_layers(keras: Any) -> None:
    layers = keras.layers
    inner_input = keras.Input((4, 4, 3))
    y = layers.Conv2D(3, 1, activation="leaky_relu", name="conv")(inner_input)
    inner = keras.Model(inner_input, layers.PReLU(name="prelu")(y), name="inner")
    inner.get_layer("prelu").set_weights([np.random.default_rng(1).uniform(0, 1, (4, 4, 3))])
    sequential = keras.Sequential([keras.Input((4, 4, 3)), layers.LeakyReLU(0.4)], name="seq")
    a, b = keras.Input((4, 4, 3), name="a"), keras.Input((4, 4, 3), name="b")
    shared = layers.LeakyReLU(0.2, name="shared")
    model = keras.Model([a, b], layers.Add()([shared(inner(a)), shared(sequential(inner(b)))]))
    rewritten = rewrite_model(model)
    assert_same(model, rewritten)
    convolutions = [layer for layer in rewritten.model.layers if layer.name.startswith("conv")]
    # The convolution is called twice and is still one.
    assert sum(type(layer).__name__ == "Conv2D" for layer in convolutions) == 1
    assert not {"LeakyReLU", "Functional", "Sequential"} & set(kinds(rewritten.model))
    counts = {a.name: len(a.layers) for a in rewritten.applied}
    assert counts == {"leaky_relu": 5, "prelu": 2}


def test_prelu_with_equal_slopes_becomes_one_slope_per_channel(keras: Any) -> None:
    x = keras.Input((4, 4, 3))
    layer = keras.layers.PReLU(name="prelu")
    model = keras.Model(x, layer(x))
    slopes = np.array([0.1, -0.2, 0.3], np.float32)
    layer.set_weights([np.broadcast_to(slopes, (4, 4, 3))])
    rewritten = rewrite_model(model)
    prelu = rewritten.model.get_layer("prelu")
    assert prelu.shared_axes == [1, 2]
    assert prelu.trainable
    np.testing.assert_array_equal(np.ravel(prelu.alpha), slopes)
    assert_same(model, rewritten)


def test_slopes_of_a_leaky_relu_are_not_trained(keras: Any) -> None:
    x = keras.Input((4, 4, 3))
    model = keras.Model(x, keras.layers.LeakyReLU(0.1)(x))
    assert rewrite_model(model).model.trainable_variables == []


def test_two_activations_of_one_tensor_make_no_prelu(keras: Any) -> None:
    """The converter would share their ReLU, and then recognize no PReLU."""
    layers = keras.layers
    x = keras.Input((4, 4, 3))
    model = keras.Model(x, [layers.LeakyReLU(0.1)(x), layers.PReLU()(x), layers.Dense(2)(x)])
    rewritten = rewrite_model(model)
    assert "PReLU" not in kinds(rewritten.model)
    assert_same(model, rewritten)


def test_what_is_the_users_own_stays(keras: Any) -> None:
    layers = keras.layers

    def gelu(x: Any) -> Any:
        return keras.ops.gelu(x) + 1

    class LeakyReLU(layers.LeakyReLU):  # type: ignore[name-defined,misc]
        def call(self, x: Any) -> Any:
            return x + 2

    x = keras.Input((6,))
    own = LeakyReLU(name="own")
    y = own(layers.Dense(5, activation=gelu, name="dense")(x))
    y = layers.Lambda(lambda value: 2 * keras.ops.elu(value), name="function")(y)
    model = keras.Model(x, y)
    assert rewrite_model(model).model is model
    extended = keras.Model(x, layers.Activation("hard_silu")(y))
    rewritten = rewrite_model(extended)
    assert [applied.name for applied in rewritten.applied] == ["hard_silu"]
    assert rewritten.model.get_layer("own") is own
    assert rewritten.model.get_layer("dense").activation is gelu
    assert_same(extended, rewritten)


def test_a_layer_that_cannot_be_copied_is_named(keras: Any) -> None:
    class Own(keras.constraints.Constraint):  # type: ignore[name-defined,misc]
        def __call__(self, w: Any) -> Any:
            return w

    layers = keras.layers
    x = keras.Input((6,))
    y = layers.Dense(5, kernel_constraint=Own(), name="kept")(x)
    y = layers.LeakyReLU()(y)
    assert rewrite_model(keras.Model(x, y)).model.get_layer("kept") is not None
    z = layers.Dense(5, kernel_constraint=Own(), activation="gelu", name="changed")(y)
    with pytest.raises(TidepoolError, match="'changed' can't be copied") as error:
        rewrite_model(keras.Model(x, z))
    assert "register_keras_serializable" in error.value.hint


def test_a_subclassed_model_is_returned_itself(keras: Any) -> None:
    class Own(keras.Model):  # type: ignore[name-defined,misc]
        def call(self, x: Any) -> Any:
            return keras.ops.gelu(x)

    own = Own()
    assert rewrite_model(own).model is own
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.ELU()(own(x)))
    assert rewrite_model(model).model is model


def test_a_product_with_another_hard_sigmoid_stays(keras: Any) -> None:
    """Squeeze-and-excite: not of the same tensor, and not fused by the converter."""
    layers = keras.layers
    x, y = keras.Input((4,)), keras.Input((4,))
    gates = [layers.Activation("hard_sigmoid")(y), layers.ReLU(6.0)(y + 3.0) / 6.0]
    model = keras.Model([x, y], [layers.Multiply()([x, gate]) for gate in gates])
    assert rewrite_model(model).model is model


def test_the_rewritten_model_is_saved_and_loaded(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    x = keras.Input((4, 4, 8))
    y = layers.PReLU(alpha_initializer="uniform")(x)
    y = layers.BatchNormalization()(layers.Conv2D(8, 1, activation="softsign")(y))
    y = layers.LayerNormalization()(layers.Activation("mish")(y))
    y = layers.LSTM(3)(layers.Reshape((4, 32))(layers.Activation("selu")(y)))
    model = keras.Model(x, y, name="everything")
    rewritten = rewrite_model(model)
    assert len(rewritten.applied) == 6
    path = tmp_path / "model.keras"
    rewritten.model.save(path)
    loaded = keras.models.load_model(path)
    assert loaded.name == "everything"
    data = samples(model)
    np.testing.assert_array_equal(loaded(data), rewritten.model(data))


def test_what_has_no_form_is_named_with_what_to_do(keras: Any) -> None:
    layers = keras.layers
    x = keras.Input((4, 8))
    y = layers.Dense(8, activation="exponential", name="dense")(x)
    y = layers.MultiHeadAttention(2, 4, name="attention")(y, y)
    y = layers.ReLU(threshold=0.5, name="threshold")(layers.ELU(-1.0, name="elu")(y))
    y = layers.Activation("hard_shrink", name="shrink")(layers.LeakyReLU()(y))
    model = keras.Model(x, layers.Activation("log_softmax", name="head")(y))
    rewritten = rewrite_model(model)
    assert [applied.name for applied in rewritten.applied] == ["leaky_relu"]
    reasons = {left.layer: (left.function, left.reason) for left in rewritten.left}
    assert {layer: function for layer, (function, _) in reasons.items()} == {
        "dense": "exponential",
        "attention": "MultiHeadAttention",
        "elu": "elu",
        "threshold": "relu",
        "shrink": "hard_shrink",
        "head": "log_softmax",
    }
    assert "BATCH_MATMUL" in reasons["attention"][1]
    assert "softmax or the logits" in reasons["head"][1]


def test_names_of_new_layers_do_not_clash(keras: Any) -> None:
    layers = keras.layers
    x = keras.Input((6,))
    y = layers.Dense(5, name="act_sigmoid")(x)
    y = layers.Activation("gelu", name="act")(y)
    y = layers.Dense(5, activation="gelu", name="act_activation")(y)
    rewritten = rewrite_model(keras.Model(x, y))
    names = [layer.name for layer in rewritten.model.layers]
    assert len(names) == len(set(names))

"""Each form against the function that it replaces: equal, or within the error that is claimed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from device_runners.edge_tpu.keras_rewrites import REWRITES, rewrite_model
from device_runners.edge_tpu.keras_rewrites.exponential import (
    EXP_A,
    EXP_B,
    SOFTPLUS_C,
    SOFTPLUS_D,
)
from device_runners.edge_tpu.keras_rewrites.mish import LINEAR, QUADRATIC
from device_runners.edge_tpu.keras_rewrites.rewrite import Form
from device_runners.edge_tpu.keras_rewrites.steps import NumpySteps

GRID = np.linspace(-12, 12, 6145, dtype=np.float32)[None]
Make = Callable[[Any, Any], Any]  # (keras, tensor) -> tensor

EXACT: dict[str, tuple[str, Make]] = {
    "leaky_relu": ("leaky_relu", lambda k, x: k.layers.LeakyReLU(0.1)(x)),
    "leaky_relu, negative": ("leaky_relu", lambda k, x: k.ops.leaky_relu(x, negative_slope=-0.3)),
    "leaky_relu by name": ("leaky_relu", lambda k, x: k.layers.Activation("leaky_relu")(x)),
    "leaky_relu in ops": ("leaky_relu", lambda k, x: k.ops.leaky_relu(x, negative_slope=0.3)),
    "ReLU(slope)": ("leaky_relu", lambda k, x: k.layers.ReLU(negative_slope=0.25)(x)),
    "ReLU(slope, 6)": ("clipped_leaky_relu", lambda k, x: k.layers.ReLU(6, negative_slope=0.1)(x)),
    "ReLU(slope, 4)": ("clipped_leaky_relu", lambda k, x: k.layers.ReLU(4, negative_slope=0.2)(x)),
    "hard_silu": ("hard_silu", lambda k, x: k.layers.Activation("hard_silu")(x)),
    "hard_swish": ("hard_silu", lambda k, x: k.layers.Activation("hard_swish")(x)),
    "x * hard_sigmoid(x)": ("hard_silu", lambda k, x: x * k.ops.hard_sigmoid(x)),
    "x * relu6(x + 3) / 6": ("hard_silu", lambda k, x: x * (k.ops.relu6(x + 3.0) / 6.0)),
    "relu6(x + 3) * (1 / 6) * x": (
        "hard_silu",
        lambda k, x: k.layers.Multiply()([k.layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0), x]),
    ),
    "softsign": ("softsign", lambda k, x: k.layers.Activation("softsign")(x)),
    "squareplus": ("squareplus", lambda k, x: k.layers.Activation("squareplus")(x)),
    "squareplus, b 1": ("squareplus", lambda k, x: k.ops.squareplus(x, b=1)),
    "soft_shrink": ("soft_shrink", lambda k, x: k.layers.Activation("soft_shrink")(x)),
    "soft_shrink 2": ("soft_shrink", lambda k, x: k.ops.soft_shrink(x, threshold=2.0)),
    "sparse_sigmoid": ("sparse_sigmoid", lambda k, x: k.layers.Activation("sparse_sigmoid")(x)),
    "sparse_plus": ("sparse_plus", lambda k, x: k.layers.Activation("sparse_plus")(x)),
}

APPROXIMATE: dict[str, tuple[str, Make]] = {
    "gelu": ("gelu", lambda k, x: k.layers.Activation("gelu")(x)),
    "gelu, tanh": ("gelu", lambda k, x: k.ops.gelu(x, approximate=True)),
    "elu": ("elu", lambda k, x: k.layers.ELU()(x)),
    "elu 2": ("elu", lambda k, x: k.layers.ELU(2.0)(x)),
    "celu 2": ("elu", lambda k, x: k.ops.celu(x, alpha=2.0)),
    "selu": ("elu", lambda k, x: k.layers.Activation("selu")(x)),
    "softplus": ("softplus", lambda k, x: k.layers.Activation("softplus")(x)),
    "log_sigmoid": ("log_sigmoid", lambda k, x: k.layers.Activation("log_sigmoid")(x)),
    "mish": ("mish", lambda k, x: k.layers.Activation("mish")(x)),
}


@pytest.fixture(scope="module")
def keras() -> Any:
    from converters.load.keras_runtime import import_keras

    return import_keras()


def values_before_and_after(keras: Any, make: Make, name: str) -> tuple[Any, Any, Any]:
    x = keras.Input((GRID.size,))
    model = keras.Model(x, make(keras, x))
    rewritten = rewrite_model(model)
    (applied,) = rewritten.applied
    assert applied.name == name
    assert rewritten.exact is applied.exact
    assert rewritten.left == ()
    return np.asarray(model(GRID)), np.asarray(rewritten.model(GRID)), applied


@pytest.mark.parametrize("case", EXACT)
def test_an_exact_form_computes_the_same(keras: Any, case: str) -> None:
    name, make = EXACT[case]
    before, after, applied = values_before_and_after(keras, make, name)
    assert (applied.exact, applied.max_error) == (True, 0.0)
    # A few roundings of float32.
    np.testing.assert_allclose(after, before, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("case", APPROXIMATE)
def test_an_approximation_has_the_error_that_it_claims(keras: Any, case: str) -> None:
    name, make = APPROXIMATE[case]
    before, after, applied = values_before_and_after(keras, make, name)
    assert not applied.exact
    measured = np.abs(after - before).max()
    assert measured == pytest.approx(applied.max_error, rel=1e-3)
    assert measured < 0.021


def test_the_claimed_errors() -> None:
    errors = {r.name: r.example.max_error for r in REWRITES if not r.example.exact}
    assert {name: round(error, 4) for name, error in errors.items()} == {
        "gelu": 0.0203,
        "elu": 0.0028,
        "softplus": 0.0041,
        "log_sigmoid": 0.0041,
        "mish": 0.0065,
    }


def test_no_other_coefficients_are_better() -> None:
    p = np.linspace(0, 0.5, 20001)
    x = np.linspace(-12, 12, 20001)
    gate = 1 / (1 + np.exp(-x))

    def exp_error(a: float, b: float) -> float:
        return float(np.abs(p * (a * p * p + b) - p / (1 - p)).max())

    def softplus_error(c: float, d: float) -> float:
        return float(np.abs(p * (c * p + d) + np.log(1 - p)).max())

    def mish_error(a: float, b: float) -> float:
        factor = gate * (a + gate * (b + (1 - a - b) * gate))
        return float(np.abs(x * factor - x * np.tanh(np.logaddexp(0, x))).max())

    for error, first, second in [
        (exp_error, EXP_A, EXP_B),
        (softplus_error, SOFTPLUS_C, SOFTPLUS_D),
        (mish_error, LINEAR, QUADRATIC),
    ]:
        best = error(first, second)
        for angle in np.linspace(0, 2 * np.pi, 32, endpoint=False):
            moved = (first + 2e-3 * np.cos(angle), second + 2e-3 * np.sin(angle))
            assert error(*moved) > best


def test_the_identities_that_the_approximations_start_from() -> None:
    y = np.linspace(-30, 0, 3001)
    p = NumpySteps().sigmoid(y)
    np.testing.assert_allclose(p / (1 - p), np.exp(y), rtol=1e-12)
    np.testing.assert_allclose(-np.log1p(-p), np.log1p(np.exp(y)), rtol=1e-12)
    q = 1 - p
    mish_factor = p * (2 - p) / (1 + q * q)
    np.testing.assert_allclose(mish_factor, np.tanh(np.log1p(np.exp(y))), rtol=1e-9)


@pytest.mark.parametrize(
    "form", [pytest.param(r.example, id=r.name) for r in REWRITES if r.example.reference]
)
def test_the_error_vanishes_far_from_zero(form: Form) -> None:
    assert form.reference is not None
    far = np.array([-256.0, -64.0, 64.0, 256.0])
    np.testing.assert_allclose(
        form.build(NumpySteps(), far), form.reference(far), rtol=1e-12, atol=1e-9
    )


def weights_of(keras: Any, layer: Any, seed: int) -> None:
    generator = np.random.default_rng(seed)
    layer.set_weights([generator.uniform(-0.5, 1.5, w.shape) for w in layer.get_weights()])


@pytest.mark.parametrize("shape", [(6,), (5, 6), (3, 4, 6)], ids=str)
@pytest.mark.parametrize("kind", ["LayerNormalization", "RMSNormalization"])
def test_normalization_over_the_last_axis(keras: Any, kind: str, shape: tuple[int, ...]) -> None:
    x = keras.Input(shape)
    layer = getattr(keras.layers, kind)(name="norm")
    model = keras.Model(x, layer(x))
    weights_of(keras, layer, 1)
    rewritten = rewrite_model(model)
    assert rewritten.exact
    assert [applied.layers for applied in rewritten.applied] == [("norm",)]
    samples = np.random.default_rng(0).normal(0.3, 2, (7, *shape)).astype(np.float32)
    np.testing.assert_allclose(rewritten.model(samples), model(samples), rtol=1e-4, atol=1e-5)


def test_normalization_over_other_axes_is_left(keras: Any) -> None:
    x = keras.Input((3, 4, 6))
    layers = keras.layers
    y = layers.LayerNormalization(axis=[1, 2], name="maps")(x)
    model = keras.Model(x, layers.GroupNormalization(2, name="groups")(y))
    rewritten = rewrite_model(model)
    assert rewritten.model is model
    assert [left.layer for left in rewritten.left] == ["maps", "groups"]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_a_recurrent_layer_step_by_step(
    keras: Any, kind: str, bias: bool, sequences: bool, backwards: bool
) -> None:
    x = keras.Input((4, 5))
    options = {"return_sequences": sequences, "go_backwards": backwards, "use_bias": bias}
    layer = getattr(keras.layers, kind)(3, name="rnn", **options)
    model = keras.Model(x, layer(x))
    weights_of(keras, layer, 2)
    rewritten = rewrite_model(model)
    assert rewritten.applied[0].layers == ("rnn",)
    assert rewritten.model.output_names == ["rnn"]
    samples = np.random.default_rng(0).normal(0, 1, (7, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(rewritten.model(samples), model(samples), rtol=1e-4, atol=1e-5)


def test_a_single_time_step(keras: Any) -> None:
    x = keras.Input((1, 5))
    model = keras.Model(x, keras.layers.LSTM(3, return_sequences=True)(x))
    samples = np.ones((2, 1, 5), np.float32)
    after = rewrite_model(model).model(samples)
    np.testing.assert_allclose(after, model(samples), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"reset_after": False},
        {"stateful": True},
        {"return_state": True},
    ],
    ids=str,
)
def test_an_unusual_recurrent_layer_is_left(keras: Any, options: dict[str, Any]) -> None:
    x = keras.Input(batch_shape=(1, 4, 5))
    model = keras.Model(x, keras.layers.GRU(3, name="rnn", **options)(x))
    rewritten = rewrite_model(model)
    assert rewritten.model is model
    assert [left.function for left in rewritten.left] == ["GRU"]


def test_a_recurrent_layer_behind_a_mask_is_left(keras: Any) -> None:
    x = keras.Input((4, 5))
    masked = keras.layers.Masking()(x)
    model = keras.Model(x, keras.layers.LSTM(3)(keras.layers.Dropout(0.1)(masked)))
    assert rewrite_model(model).model is model


def test_a_recurrent_layer_with_an_initial_state_is_left(keras: Any) -> None:
    x, state = keras.Input((4, 5)), keras.Input((3,))
    model = keras.Model([x, state], keras.layers.GRU(3)(x, initial_state=state))
    assert rewrite_model(model).model is model

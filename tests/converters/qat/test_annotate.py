"""The front door: annotating, applying, configs of one's own, saving, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.errors import TidepoolError
from converters.load.keras_runtime import import_keras
from converters.qat import (
    KernelQuantizeConfig,
    LastValueQuantizer,
    LearnedRangeQuantizer,
    MovingAverageQuantizer,
    QuantizeActivation,
    QuantizeAffine,
    QuantizeConfig,
    QuantizeWrapper,
    Scheme,
    SchemeQuantizeConfig,
    convert_quantized,
    quantize_annotate_layer,
    quantize_annotate_model,
    quantize_apply,
    quantize_model,
    quantize_scope,
    reestimate_batch_norm,
)

keras = import_keras()
L = keras.layers

GENERATOR = np.random.default_rng(1)
IMAGES = GENERATOR.normal(0, 1, (32, 8, 8, 3)).astype(np.float32)
LABELS = GENERATOR.integers(0, 4, 32)


def net() -> Any:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = L.ReLU()(L.BatchNormalization()(x))
    y = L.SeparableConv2D(6, 3, padding="same", activation="relu", name="separable")(x)
    x = L.GlobalAveragePooling2D()(L.Add()([x, y]))
    return keras.Model(inputs, L.Dense(4, activation="softmax", name="head")(L.Dropout(0.1)(x)))


def compiled(model: Any) -> Any:
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


def layers_of(model: Any, kind: type) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def trained(model: Any) -> Any:
    compiled(model).fit(IMAGES, LABELS, batch_size=16, verbose=0)
    return model


def test_quantized_model_starts_close_to_the_float_one() -> None:
    model = net()
    quantized = quantize_model(model)
    quantized(IMAGES, training=True)
    expected = model.predict(IMAGES, verbose=0)
    quantized = quantize_model(model)
    # The input's range is the only one that starts empty.
    layers_of(quantized, QuantizeActivation)[0]._range_weights["max"].assign([6.0])
    layers_of(quantized, QuantizeActivation)[0]._range_weights["min"].assign([-6.0])
    assert np.abs(quantized.predict(IMAGES, verbose=0) - expected).max() < 0.05


def test_the_model_given_keeps_its_weights() -> None:
    model = net()
    before = [np.array(weight) for weight in model.get_weights()]
    trained(quantize_model(model))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_batch_norm_and_activations_join_their_layer() -> None:
    quantized = quantize_model(net())
    wrappers = layers_of(quantized, QuantizeWrapper)
    assert [w.layer.name for w in wrappers] == ["stem", "separable_depthwise", "separable", "head"]
    assert wrappers[0].batch_normalization is not None
    assert not layers_of(quantized, QuantizeAffine)
    # input, relu, depthwise, separable's relu, add, mean, head, softmax
    assert len(layers_of(quantized, QuantizeActivation)) == 8


def test_learning_lowers_the_loss() -> None:
    quantized = compiled(quantize_model(net()))
    history = quantized.fit(IMAGES, LABELS, batch_size=16, epochs=15, verbose=0).history["loss"]
    assert history[-1] < 0.9 * history[0]


def test_saved_model_loads_with_the_same_outputs(tmp_path: Path) -> None:
    quantized = trained(quantize_model(net()))
    quantized.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = quantized.predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), expected)


def test_loaded_model_trains_on_from_where_it_was(tmp_path: Path) -> None:
    quantized = trained(quantize_model(without_dropout()))
    quantized.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for model in (quantized, loaded):
        keras.utils.set_random_seed(5)
        model.fit(IMAGES, LABELS, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(quantized.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_training_resumes_after_a_kill(tmp_path: Path) -> None:
    class Killed(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    def run(folder: str, *callbacks: Any) -> Any:
        model = compiled(quantize_model(without_dropout()))
        backup = keras.callbacks.BackupAndRestore(tmp_path / folder)
        model.fit(
            *(IMAGES, LABELS), batch_size=16, epochs=4, shuffle=False, verbose=0,
            callbacks=[backup, *callbacks],
        )  # fmt: skip
        return model

    expected = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("killed", Killed())
    resumed = run("killed")
    assert resumed.optimizer.iterations == expected.optimizer.iterations
    for one, other in zip(expected.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def without_dropout() -> Any:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((8, 8, 3))
    x = L.BatchNormalization()(L.Conv2D(6, 3)(inputs))
    return keras.Model(inputs, L.Dense(4, activation="softmax")(L.Flatten()(L.ReLU()(x))))


def test_annotating_all_is_quantizing_the_model() -> None:
    one = quantize_apply(quantize_annotate_model(net()))
    other = quantize_model(net())
    assert [type(layer) for layer in one.layers] == [type(layer) for layer in other.layers]
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_annotated_model_computes_the_same_and_can_be_saved(tmp_path: Path) -> None:
    model = net()
    annotated = quantize_annotate_model(model)
    expected = model.predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(annotated.predict(IMAGES, verbose=0), expected)
    annotated.save(tmp_path / "annotated.keras")
    loaded = keras.saving.load_model(tmp_path / "annotated.keras")
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), expected)
    assert len(layers_of(quantize_apply(loaded), QuantizeWrapper)) == 4


def test_only_annotated_layers_are_quantized() -> None:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(4, 3),
            quantize_annotate_layer(L.Conv2D(4, 3, name="marked")),
            L.Flatten(),
            L.Dense(2),
        ]
    )
    quantized = quantize_apply(model)
    assert [w.layer.name for w in layers_of(quantized, QuantizeWrapper)] == ["marked"]
    assert len(layers_of(quantized, QuantizeActivation)) == 1


def test_a_layer_has_the_config_of_its_annotation() -> None:
    learned = LearnedRangeQuantizer(4, per_axis=True, symmetric=True, narrow_range=True)
    inputs = keras.Input((8, 8, 3))
    x = quantize_annotate_layer(L.Conv2D(4, 3, name="learned"), KernelQuantizeConfig(learned))(
        inputs
    )
    x = quantize_annotate_layer(L.Conv2D(4, 3, name="packed"), SchemeQuantizeConfig("int4"))(x)
    model = quantize_annotate_model(keras.Model(inputs, L.Conv2D(4, 3, name="plain")(x)))
    wrappers = layers_of(quantize_apply(model), QuantizeWrapper)
    quantizers = [wrapper._slots[0][1] for wrapper in wrappers]
    assert [quantizer.num_bits for quantizer in quantizers] == [4, 4, 8]
    assert isinstance(quantizers[0], LearnedRangeQuantizer)
    assert np.asarray(wrappers[0]._slots[0][2]["max"]).max() < 1.0  # LSQ's start, from the weights


@pytest.mark.slow
@pytest.mark.parametrize("bits", [4, 8])
def test_learned_and_mixed_grids_are_in_the_file(bits: int) -> None:
    learned = LearnedRangeQuantizer(bits, per_axis=True, symmetric=True, narrow_range=True)
    inputs = keras.Input((8, 8, 3))
    x = quantize_annotate_layer(
        L.Conv2D(6, 3), KernelQuantizeConfig(learned, LearnedRangeQuantizer())
    )(inputs)
    x = L.DepthwiseConv2D(3)(L.ReLU()(L.BatchNormalization()(x)))
    dense = quantize_annotate_layer(L.Dense(4, activation="softmax"), SchemeQuantizeConfig("int4"))
    model = quantize_apply(quantize_annotate_model(keras.Model(inputs, dense(L.Flatten()(x)))))
    # convert_quantized holds the file against the model by itself.
    assert convert_quantized(trained(model))


@keras.saving.register_keras_serializable("test")
class Scale(keras.Layer):
    """Multiplies by a trained factor for each channel, and applies a function."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],), initializer="random_normal")

    activation = staticmethod(keras.activations.relu)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs * self.factor)


class ScaleConfig(QuantizeConfig):
    """Rounds the factor, and what the function returns."""

    def get_weights_and_quantizers(self, layer: Any) -> Any:
        return [(layer.factor, LastValueQuantizer(8, symmetric=True, narrow_range=True))]

    def get_activations_and_quantizers(self, layer: Any) -> Any:
        return [(layer.activation, MovingAverageQuantizer(decay=0.0))]

    def get_output_quantizers(self, layer: Any) -> Any:
        return []

    def get_config(self) -> dict[str, Any]:
        return {}


def test_a_layer_of_ones_own_is_quantized_by_its_config(tmp_path: Path) -> None:
    inputs = keras.Input((5,))
    outputs = quantize_annotate_layer(Scale(name="scale"), ScaleConfig())(inputs)
    with quantize_scope({"ScaleConfig": ScaleConfig}):
        model = quantize_apply(keras.Model(inputs, outputs))
        values = GENERATOR.normal(0, 1, (16, 5)).astype(np.float32)
        result = np.asarray(model(values, training=True))
        assert len(np.unique(np.rint(result / result.max() * 255))) <= 256
        np.testing.assert_allclose(
            result / result.max() * 255, np.rint(result / result.max() * 255), atol=1e-2
        )
        model.save(tmp_path / "own.keras")
        loaded = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_array_equal(
        loaded.predict(values, verbose=0), model.predict(values, verbose=0)
    )


def test_a_layer_of_ones_own_without_a_config_is_refused_by_name() -> None:
    inputs = keras.Input((5,))
    model = keras.Model(inputs, Scale(name="scale")(inputs))
    with pytest.raises(TidepoolError, match=r"'scale' \(Scale\)") as caught:
        quantize_model(model)
    assert "QuantizeConfig" in caught.value.hint


def refused(layer: Any, shape: tuple[int, ...]) -> Any:
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: refused(L.LSTM(3, name="memory"), (5, 2)), "'memory'.*recurrent"),
        (lambda: refused(L.LSTM(3, unroll=True, name="memory"), (5, 2)), "'memory'.*recurrent"),
        (lambda: refused(L.LayerNormalization(name="norm"), (5,)), "'norm'.*statistics"),
        (lambda: refused(L.Activation("elu", name="bend"), (5,)), "'bend'.*float"),
        (lambda: refused(L.ReLU(threshold=1.0, name="step"), (5,)), "'step'.*threshold"),
        (lambda: refused(L.Softmax(axis=1, name="rows"), (5, 2)), "'rows'.*axis 1"),
        (lambda: refused(L.BatchNormalization(axis=1, name="rows"), (5, 2)), "'rows'.*axis 1"),
        (lambda: refused(L.Conv3D(1, 1, name="volume"), (2, 2, 2, 1)), "'volume'"),
        (lambda: refused(L.Embedding(5, 2, name="words"), (4,)), "'words'.*indices"),
        (
            lambda: refused(L.MaxPooling2D(data_format="channels_first", name="planes"), (3, 8, 8)),
            "'planes'.*channels",
        ),
        (lambda: quantize_model(net()), "quantized already"),
    ],
)
def test_what_cannot_be_quantized_is_named(make: Any, message: str) -> None:
    with pytest.raises(TidepoolError, match=message):
        quantize_model(make())


def test_models_without_a_graph_are_refused() -> None:
    class Subclassed(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(TidepoolError, match="subclassed"):
        quantize_model(Subclassed())
    with pytest.raises(TidepoolError, match="no input shape"):
        quantize_model(keras.Sequential([L.Dense(3)]))
    with pytest.raises(TidepoolError, match="annotated"):
        quantize_apply(net())
    with pytest.raises(TidepoolError, match="isn't a layer"):
        quantize_annotate_layer(net())
    with pytest.raises(TidepoolError, match="no quantization scheme 'int3'"):
        quantize_model(net(), "int3")


def test_conversion_of_what_is_not_trained_or_not_quantized_is_refused() -> None:
    with pytest.raises(TidepoolError, match="has seen no data"):
        convert_quantized(quantize_model(net()))
    with pytest.raises(TidepoolError, match="isn't quantized"):
        convert_quantized(net())


def test_reestimation_leaves_a_model_without_batch_norm() -> None:
    model = quantize_model(refused(L.Dense(3), (5,)))
    before = model.get_weights()
    reestimate_batch_norm(model, [np.ones((4, 5), np.float32)])
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_kind_of_quantized_layer_survives_saving(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 3))
    x = L.Rescaling(2.0)(inputs)
    x = L.Concatenate()([L.Conv2D(3, 1)(x), L.Conv2D(2, 1, activation="sigmoid")(x), x])
    x = L.UpSampling2D(2)(L.BatchNormalization()(L.MaxPooling2D()(x)))
    model = quantize_model(keras.Model(inputs, L.Conv2D(2, 3)(keras.ops.relu(x + 1.0))))
    model(IMAGES, training=True)
    model.save(tmp_path / "all.keras")
    loaded = keras.saving.load_model(tmp_path / "all.keras")
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in model.layers]
    expected = model.predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), expected)
    # The concatenation's sources keep their numbers: training goes on alike.
    for one in (model, loaded):
        one(IMAGES * 2, training=True)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_outputs_keep_their_names() -> None:
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(4, 1, name="trunk")(inputs)
    first = L.Dense(2, activation="softmax", name="first")(L.Flatten()(x))
    added = L.Add(name="second")([x, L.BatchNormalization(name="third")(x)])
    model = keras.Model(inputs, [first, added, L.Flatten(name="fourth")(x)])
    quantized = quantize_model(model)
    assert quantized.output_names == ["first", "second", "fourth"]
    quantized.compile("sgd", {"first": "mse", "second": "mse", "fourth": "mse"})
    targets = [np.zeros(output.shape, np.float32) for output in quantized(IMAGES)]
    quantized.fit(IMAGES, targets, verbose=0)


def test_relus_of_one_tensor_become_one() -> None:
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(4, 3)(inputs)
    left, right = L.Conv2D(2, 1)(L.ReLU()(x)), L.Conv2D(2, 1)(L.Activation("relu")(x))
    quantized = quantize_model(keras.Model(inputs, L.Add()([left, right])))
    assert len(layers_of(quantized, L.ReLU)) == 1
    # input, relu, two convolutions, add
    assert len(layers_of(quantized, QuantizeActivation)) == 5


def test_operations_of_one_scale_share_one_range() -> None:
    inputs = keras.Input((8, 8, 3))
    left, right = L.Conv2D(4, 1)(inputs), L.Conv2D(4, 1)(inputs)
    x = L.ZeroPadding2D()(L.MaxPooling2D()(L.Concatenate()([left, right])))
    quantized = quantize_model(keras.Model(inputs, L.Flatten()(x)))
    ranges = layers_of(quantized, QuantizeActivation)
    assert [layer.sources for layer in ranges] == [1, 2]


def test_different_grids_for_one_scale_are_refused() -> None:
    inputs = keras.Input((8, 8, 3))
    weights = LastValueQuantizer(8, per_axis=True, symmetric=True, narrow_range=True)
    other = KernelQuantizeConfig(weights, LearnedRangeQuantizer())
    left = quantize_annotate_layer(L.Conv2D(4, 1, name="left"), other)(inputs)
    right = L.Conv2D(4, 1, name="right")(inputs)
    model = keras.Model(inputs, L.Concatenate()([left, right]))
    with pytest.raises(TidepoolError, match=r"'left', 'right' must have one scale"):
        quantize_apply(quantize_annotate_model(model))


def test_inputs_of_integers_are_refused_by_name() -> None:
    inputs = keras.Input((8, 8, 3), name="pixels", dtype="uint8")
    with pytest.raises(TidepoolError, match=r"'pixels'.*uint8"):
        quantize_model(keras.Model(inputs, L.Rescaling(1 / 255)(inputs)))


def test_rescaling_that_differs_by_pixel_is_refused_before_training() -> None:
    inputs = keras.Input((8, 8, 3))
    by_row = np.linspace(0.1, 0.8, 8).reshape(8, 1, 1).astype(np.float32)
    model = keras.Model(inputs, L.Rescaling(by_row, name="vignette")(inputs))
    with pytest.raises(TidepoolError, match=r"'vignette'.*shape \[8, 1, 1\].*3 channels"):
        quantize_model(model)


@pytest.mark.slow
def test_batch_norm_with_one_scale_for_all_channels_converts() -> None:
    weights = LastValueQuantizer(8, symmetric=True, narrow_range=True)
    inputs = keras.Input((8, 8, 3))
    conv = quantize_annotate_layer(L.Conv2D(4, 3), KernelQuantizeConfig(weights))
    x = L.ReLU()(L.BatchNormalization()(conv(inputs)))
    head = L.Dense(4, activation="softmax")(L.Flatten()(x))
    assert convert_quantized(trained(quantize_apply(quantize_annotate_model(
        keras.Model(inputs, head)
    ))))  # fmt: skip


@pytest.mark.slow
def test_what_is_left_in_float_is_refused_at_conversion() -> None:
    inputs = keras.Input((8, 8, 3))
    x = quantize_annotate_layer(L.Conv2D(4, 3))(inputs)
    model = keras.Model(inputs, L.Dense(4, activation="softmax")(L.Flatten()(x)))
    with pytest.raises(TidepoolError, match=r"float|DEQUANTIZE"):
        convert_quantized(trained(quantize_apply(model)))


@pytest.mark.parametrize(
    "widths",
    [{"weight_bits": 9}, {"activation_bits": 4}, {"activation_bits": 16, "weight_bits": 4}],
)
def test_schemes_without_kernels_are_refused(widths: dict[str, int]) -> None:
    with pytest.raises(TidepoolError, match="scheme 'mine'"):
        Scheme("mine", **widths)


@pytest.mark.slow
def test_widths_of_activations_are_not_mixed() -> None:
    inputs = keras.Input((8, 8, 3))
    x = quantize_annotate_layer(L.Conv2D(4, 3), SchemeQuantizeConfig("int8_int16"))(inputs)
    model = keras.Model(inputs, L.Dense(4, activation="softmax")(L.Flatten()(x)))
    with pytest.raises(TidepoolError, match="16 bits"):
        convert_quantized(trained(quantize_apply(quantize_annotate_model(model))))

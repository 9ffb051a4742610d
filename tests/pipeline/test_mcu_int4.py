"""Kernels that unpack weights of four bits, on emulated cores: every tensor is exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.emulated_layers import assert_exact, assert_graph_exact
from support.int4_layers import with_int4_weights

from converters.tflite import read_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import Conv2DOptions
from device_runners.cgen import build
from device_runners.runner import Int8Model
from pipeline.stages import mcu


@pytest.mark.slow
def test_random_layers_are_exact_on_the_cortex_m4(tmp_path: Path) -> None:
    assert_exact(12, "cortex-m4", tmp_path, int4=True)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("seed", range(500, 506))
def test_random_layers_are_exact(core: str, seed: int, tmp_path: Path) -> None:
    assert_exact(seed, core, tmp_path, int4=True)


def _deep_layers(rng: np.random.Generator) -> Graph:
    """Some sums have more than 20 bits."""
    b = GraphBuilder("deep")
    for size, channels, zero_point in ((1, 2304, -128), (3, 300, -128), (3, 257, 5)):
        x = b.input((1, 4, 5, channels), 0.05, zero_point)
        taps = rng.integers(-112, 128, (6, size, size, channels)).astype(np.int8)
        taps[0] = 127
        w = b.constant(taps, scales=[0.001] * 6, axis=0)
        bias = rng.integers(-90_000, 90_000, 6).astype(np.int32)
        c = b.constant(bias, scales=[0.05 * 0.001] * 6)
        activation = Activation.RELU if channels > 300 else Activation.NONE
        options = Conv2DOptions(Padding.SAME, 1, 1, activation, 1, 1)
        y = b.op("CONV_2D", [x, w, c], options, shape=(1, 4, 5, 6), scale=0.9,
                 zero_point=-128 if channels > 300 else 3, version=3)  # fmt: skip
        b.output(y)
    return with_int4_weights(b.graph(), lowest=-8)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
def test_deep_layers_are_exact(core: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    assert_graph_exact(_deep_layers(rng), rng, core, tmp_path)
    kernel = "tidepool_conv_2d_int4_wide_dsp.c"
    used = (tmp_path / "aot" / kernel).exists()
    assert used == (core == "cortex-m4")


def _trained_model() -> bytes:
    """A small vision net, trained for weights of four bits."""
    from converters.load.keras_runtime import import_keras
    from converters.qat import convert_quantized, quantize_model

    keras = import_keras()
    layers = keras.layers
    keras.utils.set_random_seed(2)
    rng = np.random.default_rng(2)
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Conv2D(32, 1, activation="relu")(x)
    x = layers.Conv2D(32, 3, padding="same")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dense(40, activation="relu")(layers.Flatten()(layers.MaxPooling2D()(x)))
    model = quantize_model(keras.Model(inputs, layers.Dense(4, activation="softmax")(x)), "int4")
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    images = rng.uniform(0, 1, (32, 12, 12, 3)).astype(np.float32)
    model.fit(images, rng.integers(0, 4, 32), batch_size=16, epochs=2, verbose=0)
    return convert_quantized(model)


@pytest.mark.slow
def test_a_model_trained_for_four_bits_is_exact_and_takes_what_its_file_takes(
    tmp_path: Path,
) -> None:
    content = _trained_model()
    graph = read_graph(content)
    rng = np.random.default_rng(0)
    for core in ("cortex-m3", "cortex-m4", "cortex-m55"):
        assert_graph_exact(graph, rng, core, tmp_path / core)
        model = Int8Model("m", content, graph)
        figures = build(model, tmp_path / "aot" / core, mcu.isa_of(core)).figures
        for kind in ("conv_2d_int4", "fully_connected_int4"):
            assert any(kernel.startswith(kind) for kernel in figures["kernels"])
        assert figures["weights_bytes"] <= len(content)

"""Conversion: full-integer, deterministic, streamed, and its crashes are errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.keras_models import small_cnn, uniform_samples

from converters.errors import TidepoolError
from converters.load import load_model
from converters.tflite import TensorType, read_graph
from converters.tflite._convert_child import ChildJob, read_samples
from converters.tflite.convert import ConvertOptions, convert_int8, freeze, run_streaming
from converters.tflite.verify import check_agreement, check_full_integer, compare_with_keras
from device_runners.host.oracle import Oracle

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLES = uniform_samples(40, (8, 8, 1))


@pytest.fixture(scope="module")
def model() -> Any:
    return small_cnn()


@pytest.fixture(scope="module")
def converted(model: Any) -> bytes:
    return convert_int8(model, lambda: SAMPLES)


def test_the_result_is_full_integer_and_agrees_with_keras(model: Any, converted: bytes) -> None:
    graph = read_graph(converted)
    check_full_integer(graph)
    assert [t.type for t in (*graph.input_tensors, *graph.output_tensors)] == [TensorType.INT8] * 2
    assert graph.input_tensors[0].shape == (1, 8, 8, 1)
    (agreement,) = compare_with_keras(model, graph, Oracle(converted).run, SAMPLES)
    check_agreement([agreement])
    assert agreement.samples == len(SAMPLES)
    assert agreement.worst_error_lsb < 6
    assert agreement.argmax_agreement is not None
    assert agreement.argmax_agreement > 0.9


def test_the_input_range_is_the_calibrated_one(converted: bytes) -> None:
    tensor = read_graph(converted).input_tensors[0]
    highest = max(float(sample[0].max()) for sample in SAMPLES)
    assert tensor.zero_point == -128
    assert tensor.scale == pytest.approx(highest / 255, rel=1e-5)


def test_the_same_inputs_give_the_same_bytes(model: Any, converted: bytes) -> None:
    assert convert_int8(model, lambda: SAMPLES) == converted


def test_the_child_gives_the_same_bytes_as_converting_here(model: Any, converted: bytes) -> None:
    import tensorflow as tf

    spec = tf.TensorSpec((1, 8, 8, 1), tf.float32, name="image")
    traced = tf.function(
        lambda x: (model(x, training=False),), input_signature=[spec]
    ).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([s[0][None]] for s in SAMPLES)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    assert converter.convert() == converted


@pytest.mark.slow
@pytest.mark.parametrize("per_channel", [True, False])
def test_dense_weights_per_channel_is_an_option(model: Any, per_channel: bool) -> None:
    options = ConvertOptions(per_channel_dense=per_channel)
    graph = read_graph(convert_int8(model, lambda: SAMPLES[:5], options=options))
    (dense,) = [op for op in graph.operators if op.opcode == "FULLY_CONNECTED"]
    weights = graph.inputs_of(dense)[1]
    assert weights is not None
    assert weights.quantization is not None
    assert len(weights.quantization.scales) == (4 if per_channel else 1)


def test_several_inputs_and_outputs_keep_the_order_of_the_model() -> None:
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    second = keras.Input((5,), name="zulu")
    first = keras.Input((3,), name="alpha")
    joined = layers.Concatenate()([second, layers.Dense(5)(first)])
    outputs = [layers.Dense(4, name="yankee")(joined), layers.Dense(2, name="bravo")(second)]
    model = keras.Model([second, first], outputs)
    generator = np.random.default_rng(0)
    samples = [
        [generator.normal(0, 1, 5).astype("f"), generator.normal(0, 3, 3).astype("f")]
        for _ in range(50)
    ]
    content = convert_int8(model, lambda: samples)
    graph = read_graph(content)
    assert [t.shape for t in graph.input_tensors] == [(1, 5), (1, 3)]
    assert [t.shape for t in graph.output_tensors] == [(1, 4), (1, 2)]
    for agreement in compare_with_keras(model, graph, Oracle(content).run, samples):
        assert agreement.correlation > 0.98


@pytest.mark.slow
def test_progress_counts_the_samples(model: Any) -> None:
    seen: list[int] = []
    convert_int8(model, lambda: SAMPLES[:7], progress=lambda done, total: seen.append(done))
    assert seen == list(range(1, 8))


MEASURE = """
import resource, sys
import numpy as np
import keras
from converters.tflite.convert import convert_int8

x = keras.Input((128, 128, 3))
y = keras.layers.AveragePooling2D(32)(x)
y = keras.layers.Dense(2)(keras.layers.Flatten()(y))
model = keras.Model(x, y)
generator = np.random.default_rng(0)
sample = lambda: [generator.uniform(0, 1, (128, 128, 3)).astype("f")]
convert_int8(model, lambda: (sample() for _ in range(int(sys.argv[1]))))
for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
    print(resource.getrusage(who).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_ten_times_the_samples_take_the_same_memory() -> None:
    """One sample is 196,608 bytes: 1,000 of them would add 170 MB to either process."""
    peaks = []
    for count in (100, 1000):
        result = subprocess.run(
            [sys.executable, "-c", MEASURE, str(count)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append([int(line) for line in result.stdout.split()])
    for few, many in zip(*peaks, strict=True):
        assert many - few < 40, f"peak MB of this process and the child: {peaks}"


@pytest.mark.slow
def test_a_crash_of_the_converter_is_an_error() -> None:
    """A recurrent layer that isn't unrolled makes TensorFlow's converter segfault."""
    import keras

    x = keras.Input((8, 4))
    model = keras.Model(x, keras.layers.LSTM(4)(x))
    with pytest.raises(TidepoolError, match=r"converter (crashed \(signal|refused)"):
        convert_int8(model, lambda: uniform_samples(3, (8, 4)))


def stream(code: str, tmp_path: Path, frames: Sequence[bytes] = (), limit: float = 60.0) -> None:
    command = [sys.executable, "-c", code]
    run_streaming(command, frames, tmp_path / "log", limit, lambda done, total: None)


def test_a_signal_is_named_with_the_tail_of_the_log(tmp_path: Path) -> None:
    code = "import os, sys; print('about to fall', file=sys.stderr, flush=True); os.abort()"
    with pytest.raises(TidepoolError, match=r"crashed \(signal 6\)[^$]*about to fall"):
        stream(code, tmp_path)


def test_a_kill_is_taken_for_lack_of_memory(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match="killed, most likely for lack of memory"):
        stream("import os; os.kill(os.getpid(), 9)", tmp_path)


def test_an_exception_in_the_child_is_shown(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match=r"refused the model[^$]*no such op"):
        stream("raise ValueError('no such op')", tmp_path)


def test_the_time_limit_ends_a_child_that_hangs(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match=r"within 0\.5 s"):
        stream("import time; time.sleep(600)", tmp_path, limit=0.5)


def test_a_child_that_dies_while_it_is_fed(tmp_path: Path) -> None:
    frames = [bytes(1 << 20)] * 50
    with pytest.raises(TidepoolError, match=r"refused the model[^$]*gone"):
        stream("raise SystemExit('gone')", tmp_path, frames)


def test_an_error_of_the_samples_is_passed_on_and_ends_the_child(tmp_path: Path) -> None:
    def frames() -> Iterator[bytes]:
        yield b"x"
        raise TidepoolError("bad sample")

    with pytest.raises(TidepoolError, match="bad sample"):
        run_streaming(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            frames(),  # type: ignore[arg-type]
            tmp_path / "log",
            60.0,
            lambda done, total: None,
        )


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ([np.zeros((8, 8), "f")], r"has shape \(8, 8\), but input 'image' takes \(8, 8, 1\)"),
        ([np.zeros((8, 8, 1), "f")] * 2, "has 2 arrays"),
        ([np.full((8, 8, 1), np.nan, "f")], "NaN or infinite"),
    ],
)
def test_bad_samples(model: Any, sample: list[np.ndarray], message: str) -> None:
    with pytest.raises(TidepoolError, match=message):
        convert_int8(model, lambda: [sample])


def test_no_samples(model: Any) -> None:
    with pytest.raises(TidepoolError, match="no calibration samples"):
        convert_int8(model, lambda: [])


def test_inputs_that_can_not_be_converted() -> None:
    import keras
    from keras import layers

    words = keras.Input((4,), dtype="int32", name="words")
    with pytest.raises(TidepoolError, match="'words' of the model is int32"):
        freeze(keras.Model(words, layers.Embedding(10, 2)(words)))
    image = keras.Input((None, None, 3), name="image")
    with pytest.raises(TidepoolError, match=r"no fixed shape: \(\?, \?, 3\)"):
        freeze(keras.Model(image, layers.GlobalAveragePooling2D()(image)))


def test_the_stream_of_samples_is_read_one_by_one(tmp_path: Path) -> None:
    shapes = ((1, 2), (1, 3))
    (tmp_path / "s").write_bytes(np.arange(10, dtype=np.float32).tobytes())
    with (tmp_path / "s").open("rb") as file:
        samples = list(read_samples(file, shapes))
    assert [[a.tolist() for a in s] for s in samples] == [
        [[[0, 1]], [[2, 3, 4]]],
        [[[5, 6]], [[7, 8, 9]]],
    ]
    (tmp_path / "s").write_bytes(bytes(24))
    with (tmp_path / "s").open("rb") as file, pytest.raises(EOFError):
        list(read_samples(file, shapes))


def test_a_job_survives_json() -> None:
    job = ChildJob("g.pb", ("a:0",), ("b:0", "c:0"), ((1, 2),), False, "out.tflite")
    assert ChildJob.from_json(job.to_json()) == job


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ad01.h5", "ic_resnet8.h5", "vww_mobilenet.h5", "kws_dscnn_saved_model"]
)
def test_mlperf_tiny_models_convert_to_full_integer(mlperf_tiny: Path, name: str) -> None:
    model = load_model(mlperf_tiny / name).model
    samples = uniform_samples(20, tuple(model.inputs[0].shape[1:]))
    content = convert_int8(model, lambda: samples)
    graph = read_graph(content)
    check_full_integer(graph)
    agreements = compare_with_keras(model, graph, Oracle(content).run, samples)
    check_agreement(agreements)
    assert agreements[0].correlation > 0.95

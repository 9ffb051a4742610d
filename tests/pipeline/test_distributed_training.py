"""Training on several replicas gives what training on one gives.

With synchronized batch statistics and ranges, replicas compute the sums of one process in another
order: a few float32 roundings of 6e-8 a step, 1e-7 of a tensor's greatest value after the 28 steps
here. (Where a value lies on the edge between two grid points, such a difference moves it by a whole
one; a longer training magnifies it.) The smallest mistake that was tried, giving uneven parts of a
batch the same weight, is 1e-4; statistics of a part of the batch are 4e-3.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.digits_recipe import REPOSITORY
from support.loopback import free_addresses

from converters.tflite.graph import Array

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5
"""Of the greatest absolute value of a tensor."""

_DEVICES = """
import os, sys
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
"""

_MIRRORED_COMMAND = _DEVICES + "from pipeline.cli import main\nmain()\n"

_LIBRARY = (
    _DEVICES
    + """
import json
import keras
import numpy as np
from converters import qat
from pipeline.stages.replication import Replicated

layers = keras.layers

def network():
    first, second = layers.Input((6, 6, 2)), layers.Input((6, 6, 2))
    learned = qat.LearnedRangeQuantizer(4, per_axis=True, symmetric=True, narrow_range=True)
    conv = layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(0.1))
    a = qat.quantize_annotate_layer(conv, qat.KernelQuantizeConfig(learned))(first)
    b = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3)(second)))
    both = layers.GlobalAveragePooling2D()(layers.Concatenate()([a, b]))
    return keras.Model([first, second], layers.Dense(3)(both))

keras.utils.set_random_seed(0)
tf.config.experimental.enable_op_determinism()
plain = network()
rng = np.random.default_rng(0)
x = [rng.normal(size=(94, 6, 6, 2)).astype("float32") for _ in range(2)]
y = np.stack([x[0].mean((1, 2, 3)), x[1].max((1, 2, 3)), x[0][:, 0, 0, 0]], axis=-1)
# Of 3 replicas: parts of 10, 11 and 10 samples, and a last batch with fewer samples than replicas.
batches = tf.data.Dataset.from_tensor_slices((tuple(x), y)).batch(31)
scheme = qat.Scheme("per_tensor", per_channel=False, per_channel_dense=False, decay=0.9, delay=3)

def trained(strategy):
    with strategy.scope():
        annotated = qat.quantize_annotate_model(plain)
        quantized = qat.quantize_apply(annotated, scheme)
        before = quantized.get_weights()
        optimizer = keras.optimizers.SGD(0.02, momentum=0.9)
        optimizer.build(quantized.trainable_variables)
        model = quantized
        if strategy.num_replicas_in_sync > 1:
            qat.synchronize_batch_norm(quantized)
            quantized.compile(optimizer=None, loss="mse")
    if strategy.num_replicas_in_sync > 1:
        model = Replicated(quantized, strategy)
        model.compile(optimizer=optimizer, jit_compile=False)
    else:
        model.compile(optimizer=optimizer, loss="mse")
    history = model.fit(batches, epochs=6, shuffle=False, verbose=0, validation_data=batches)
    kinds = [type(layer).__name__ for layer in quantized.layers]
    return quantized.weights, before, history.history, kinds

one, before, history, kinds = trained(tf.distribute.get_strategy())
three, _, mirrored, _ = trained(tf.distribute.MirroredStrategy())
# A bias before a batch normalization has no gradient: there is noise in it only.
def scale(v): return max(float(np.abs(v).max()), 1e-2)
print(json.dumps({
    "kinds": kinds,
    "losses": [history["loss"], mirrored["loss"]],
    "val_losses": [history["val_loss"], mirrored["val_loss"]],
    "differences": {
        v.path: float(np.abs(np.array(v) - np.array(w)).max()) / scale(np.array(v))
        for v, w in zip(one, three)
    },
    "moved": max(float(np.abs(np.array(v) - b).max()) / scale(b) for v, b in zip(one, before)),
}))
"""
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small trained model, its data and the settings of its fine-tuning."""
    import keras

    folder = tmp_path_factory.mktemp("tiny")
    layers = keras.layers
    keras.utils.set_random_seed(1)
    image = layers.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(4, activation="softmax")(x))
    # Which quadrant of a noisy image is bright.
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 703)
    images = generator.normal(scale=0.5, size=(703, 8, 8, 1)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] += 1
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(images[:403], labels[:403], epochs=12, batch_size=31, verbose=0)
    model.save(folder / "tiny.keras")
    np.savez(
        folder / "tiny.npz",
        x_train=images[:403],
        y_train=labels[:403],
        x_calibration=images[403:503],
        y_calibration=labels[403:503],
        x_test=images[503:],
        y_test=labels[503:],
    )
    # With momentum instead of Adam, which takes noise for a direction where gradients are small.
    (folder / "tidepool.toml").write_text(
        '[qat]\nepochs = 4\noptimizer = "sgd"\nlearning_rate = 0.003\npatience = 12\n'
        "distill = 0.5\n"
        # Uneven parts on 2 and 3 replicas, and a last batch of one sample.
        "batch_size = 67\n"
        # 28 steps from ranges of +-6: far from done.
        "[gate]\nmax_drop = 5\n"
    )
    return folder


def start(
    tiny: Path,
    out: Path,
    *options: str,
    program: tuple[str, ...] = ("-m", "pipeline.cli"),
    tf_config: str | None = None,
) -> subprocess.Popen[str]:
    """Starts ``tidepool convert --qat``, which writes to ``out``."""
    command = [sys.executable, *program, "convert", str(tiny / "tiny.keras"), "--qat", "--json"]
    command += ["--dataset", str(tiny / "tiny.npz"), "--config", str(tiny / "tidepool.toml")]
    command += ["--build-directory", str(out), *options]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    if tf_config is not None:
        environment["TF_CONFIG"] = tf_config
    return subprocess.Popen(
        command,
        cwd=out.parent,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def start_two(
    tiny: Path, outs: tuple[Path, Path], *options: tuple[str, ...]
) -> list[subprocess.Popen[str]]:
    """Starts the chief and another worker on the loopback, each with its own options."""
    cluster = {"worker": free_addresses(2)}
    started = []
    for index, (out, own) in enumerate(zip(outs, options, strict=True)):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        arguments = ("--strategy", "multiworker", *own)
        started.append(start(tiny, out, *arguments, tf_config=config))
    return started


def report(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(output)
    return result


def weights(out: Path) -> dict[str, Array]:
    """What was trained, by name."""
    import keras

    from converters import qat

    assert qat.QuantizeWrapper  # registers what the file holds
    model = keras.models.load_model(out / "tiny" / "qat" / "quantized.keras")
    return {weight.path: np.asarray(weight.value) for weight in model.weights}


def assert_same(found: Path, found_report: Any, wanted: Path, wanted_report: Any) -> None:
    """Weights, ranges, statistics, losses and accuracies of two trainings."""
    for name, values in weights(wanted).items():
        scale = max(float(np.abs(values).max()), 1e-9)
        difference = float(np.abs(weights(found)[name] - values).max()) / scale
        assert difference <= TOLERANCE, f"{name} differs by {difference:.1e}"
    assert found_report["qat"]["last_loss"] < 0.95 * found_report["qat"]["first_loss"]
    for key in ("first_loss", "last_loss"):
        assert found_report["qat"][key] == pytest.approx(wanted_report["qat"][key], rel=TOLERANCE)
    evaluations = [r["evaluation"]["int8_value"] for r in (found_report, wanted_report)]
    # One of 200 test samples may lie on the border of two classes.
    assert evaluations[0] == pytest.approx(evaluations[1], abs=0.006)
    assert evaluations[0] > 0.9


@pytest.fixture(scope="module")
def one(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The training in one process: its folder and its report."""
    out = tmp_path_factory.mktemp("one") / "build"
    return out, report(start(tiny, out))


def test_two_workers_train_what_one_process_does(
    tiny: Path, one: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    outs = tmp_path / "chief", tmp_path / "worker"
    chief, worker = start_two(tiny, outs, (), ())
    found = report(chief)
    output, said = worker.communicate(timeout=120)
    assert_same(outs[0], found, *one)
    assert (outs[0] / "tiny" / "tiny_int8.tflite").is_file()
    assert any((outs[0] / "tiny" / "qat" / "logs").rglob("events*"))
    # The other worker says that it is done, and leaves nothing behind.
    assert worker.returncode == 0, said
    assert "process 2 of 2" in said and "has done its part" in said
    assert output == "" and not outs[1].exists()


def test_mirrored_devices_train_what_one_does(
    tiny: Path, one: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    program = ("-c", _MIRRORED_COMMAND)
    process = start(tiny, tmp_path / "build", "--strategy", "mirrored", program=program)
    assert_same(tmp_path / "build", report(process), *one)


def test_single_device_is_no_error(
    tiny: Path, one: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    process = start(tiny, tmp_path / "build", "--strategy", "mirrored")
    output, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "found one device" in said
    assert_same(tmp_path / "build", json.loads(output), *one)


def test_every_kind_of_state_is_shared() -> None:
    """Double convolution, a learned range, a range of several sources, a delay, a regularizer."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", _LIBRARY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kinds"].count("QuantizeWrapper") == 3
    worst = max(found["differences"], key=lambda name: found["differences"][name])
    assert found["differences"][worst] <= TOLERANCE, f"{worst}: {found['differences'][worst]:.1e}"
    assert found["moved"] > 1000 * TOLERANCE
    for losses in (found["losses"], found["val_losses"]):
        np.testing.assert_allclose(losses[0], losses[1], rtol=TOLERANCE)


def test_different_settings_are_told_instead_of_waiting_for_ever(
    tiny: Path, tmp_path: Path
) -> None:
    outs = tmp_path / "chief", tmp_path / "worker"
    for process in start_two(tiny, outs, ("--qat-epochs", "2"), ("--qat-epochs", "3")):
        _, said = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "the processes of the training differ in their settings" in said


def test_lost_worker_is_told_and_training_goes_on_later(tiny: Path, tmp_path: Path) -> None:
    outs = tmp_path / "chief", tmp_path / "worker"
    options = ("--qat-epochs", "12")
    chief, worker = start_two(tiny, outs, options, options)
    deadline = time.monotonic() + 90
    while not list(outs[0].glob("tiny/qat/backup-*/*.json.bkp")) and time.monotonic() < deadline:
        time.sleep(0.05)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    _, said = chief.communicate(timeout=90)
    assert chief.returncode == 1
    assert "lost another process of the training" in said
    # Only the chief has a backup: the other one takes over its state.
    chief, worker = start_two(tiny, outs, options, options)
    found = report(chief)["qat"]
    assert 0 < found["epochs_resumed"] < found["epochs"] == 12
    _, said = worker.communicate(timeout=90)
    assert worker.returncode == 0, said

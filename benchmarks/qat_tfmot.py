"""tensorflow-model-optimization's side of the QAT benchmark; runs in an environment of its own.

    TF_USE_LEGACY_KERAS=1 python benchmarks/qat_tfmot.py FOLDER

The environment needs tensorflow, tf-keras and tensorflow-model-optimization, and nothing of ours;
``benchmarks/qat.py`` makes it. FOLDER holds ``job.json`` (see ``Job``), the data and the starting
weights; the .tflite files and ``step_seconds_tfmot.json`` are left there. A line "epoch" goes to
standard output after each epoch.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import qat_nets
from qat_training import Data, Schedule, batches, fit, step_seconds


@dataclass(frozen=True)
class Job:
    """What this script is asked to do; file names are relative to the folder of the job.

    Attributes:
        trainings: Network and seed of each training. Its data are ``<network>_train.npz``, its
            starting weights ``<network>_<seed>.npz``, its result ``<network>_<seed>_tfmot.tflite``.
        epochs: Epochs of each.
        learning_rate: First learning rate.
        batch: Samples in a step.
        timed: The network whose training step is timed, if any.
    """

    trainings: list[tuple[str, int]]
    epochs: int
    learning_rate: float
    batch: int
    timed: str | None

    def write(self, folder: Path) -> None:
        """Writes ``job.json``."""
        (folder / "job.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Reads ``job.json``."""
        return cls(**json.loads((folder / "job.json").read_text()))


def main() -> None:
    """Runs the job in the folder given as the first argument."""
    folder = Path(sys.argv[1])
    job = Job.read(folder)
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tf_keras

    for net, seed in job.trainings:
        tf_keras.backend.clear_session()
        data = read_data(folder, net)
        model = quantized(tf_keras, net, read_weights(folder, net, seed))
        schedule = Schedule(job.epochs, job.learning_rate, job.batch, seed)
        fit(tf_keras, model, data, schedule, lambda: print("epoch", flush=True))
        reestimate_batch_norm(tf_keras, model, batches(data, job.batch))
        (folder / f"{net}_{seed}_tfmot.tflite").write_bytes(convert(model))
    if job.timed is not None:
        models = {
            "float": qat_nets.build(tf_keras, job.timed),
            "qat": quantized(tf_keras, job.timed, None),
        }
        seconds = step_seconds(tf_keras, models, read_data(folder, job.timed), job.batch)
        (folder / "step_seconds_tfmot.json").write_text(json.dumps(seconds))


def read_data(folder: Path, net: str) -> Data:
    """The training data of a network."""
    with np.load(folder / f"{net}_train.npz") as arrays:
        return Data(arrays["x"], arrays["y"])


def read_weights(folder: Path, net: str, seed: int) -> qat_nets.Weights:
    """The starting weights of a network, in the layers' order."""
    with np.load(folder / f"{net}_{seed}.npz") as arrays:
        return [arrays[f"{number}"] for number in range(len(arrays.files))]


def quantized(keras: Any, net: str, weights: qat_nets.Weights | None) -> Any:
    """The network with tfmot's default 8-bit quantization, new or from float weights."""
    from tensorflow_model_optimization.quantization.keras import quantize_model

    model = qat_nets.build(keras, net)
    if weights is not None:
        model.set_weights(weights)
    return quantize_model(model)


def reestimate_batch_norm(keras: Any, model: Any, images: Iterable[np.ndarray]) -> None:
    """Replaces the moving statistics of batch norm by their mean over all batches.

    What ``converters.qat.reestimate_batch_norm`` does, for a model of tfmot. Weights and trained
    ranges stay as they are.
    """
    import tensorflow as tf

    norms = [
        layer.layer
        for layer in model.layers
        if isinstance(getattr(layer, "layer", None), keras.layers.BatchNormalization)
    ]
    statistics = [v for norm in norms for v in (norm.moving_mean, norm.moving_variance)]
    before = model.get_weights()
    for norm in norms:
        # The moving value is then the batch's own.
        norm.momentum = 0.0
    forward = tf.function(lambda batch: model(batch, training=True))
    sums = [np.zeros(v.shape, np.float64) for v in statistics]
    count = 0
    for batch in images:
        forward(tf.constant(batch))
        count += 1
        for number, variable in enumerate(statistics):
            sums[number] += variable.numpy()
    # Quantizers' ranges move in training mode as well: they go back to the trained ones.
    model.set_weights(before)
    for total, variable in zip(sums, statistics, strict=True):
        variable.assign((total / count).astype(np.float32))


def convert(model: Any) -> bytes:
    """The .tflite file, int8 inside and at both ends."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    content: bytes = converter.convert()
    return content


if __name__ == "__main__":
    main()

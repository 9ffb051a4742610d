"""Trains the digits example and writes a ``.keras`` file.

    python examples/digits/train.py --out build/digits/digits.keras

Seeds are fixed and TensorFlow's ops deterministic: the same machine gives the same weights.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import runpy
import sys
import tempfile
import zipfile
from pathlib import Path

# Before TensorFlow is imported: the GPU has other kernels, and the log is noise here.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

HERE = Path(__file__).resolve().parent
DATASET = HERE.parents[1] / "datasets" / "digits.py"
OUT = Path("build") / "digits" / "digits.keras"
SEED = 7
EPOCHS = 40
LEAST_ACCURACY = 0.97


def train(epochs: int) -> keras.Model:
    """Builds the model and trains it with a decaying learning rate."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    model = runpy.run_path(str(HERE / "model.py"))["build_model"]()
    x, y = runpy.run_path(str(DATASET))["train"]()
    batch = 32
    steps = epochs * -(-len(x) // batch)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )

    def report(epoch: int, logs: dict[str, float]) -> None:
        print(f"epoch {epoch + 1}/{epochs}: accuracy {logs['accuracy']:.4f}", flush=True)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=report)
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, callbacks=[callback])
    return model


def test_accuracy(model: keras.Model) -> float:
    """The share of the test split that the model gets right."""
    x, y = runpy.run_path(str(DATASET))["test"]()
    return float(np.mean(model.predict(x, verbose=0).argmax(axis=1) == y))


def save(model: keras.Model, out: Path) -> None:
    """Writes the model under a temporary name, then renames it: whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".train-") as folder:
        written = Path(folder) / out.name
        model.save(written)
        final = Path(folder) / "reproducible.keras"
        make_reproducible(written, final)
        final.replace(out)


def make_reproducible(source: Path, target: Path) -> None:
    """Copies a ``.keras`` archive without what differs from run to run: dates, and addresses.

    Keras marks objects that several layers share by their address in memory; here they are
    numbered in the order in which they come.
    """
    numbers: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f'"shared_object_id": {numbers.setdefault(match[1], len(numbers))}'

    with zipfile.ZipFile(source) as dated, zipfile.ZipFile(target, "w") as undated:
        for name in dated.namelist():
            content = dated.read(name)
            if name == "metadata.json":
                metadata = json.loads(content)
                metadata.pop("date_saved", None)
                content = json.dumps(metadata).encode()
            elif name == "config.json":
                content = re.sub(r'"shared_object_id": (\d+)', number, content.decode()).encode()
            undated.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), content)


def main() -> int:
    """Trains, reports, and writes the model if it is good enough."""
    parser = argparse.ArgumentParser(description="Train the digits example.")
    parser.add_argument("--out", type=Path, default=OUT, help=f"file to write (default: {OUT})")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"default: {EPOCHS}")
    arguments = parser.parse_args()
    if arguments.out.suffix != ".keras":
        parser.error(f"--out {arguments.out}: the name has to end in .keras")
    if arguments.epochs < 1:
        parser.error("--epochs has to be 1 or more")
    model = train(arguments.epochs)
    accuracy = test_accuracy(model)
    print(
        f"test accuracy {accuracy:.4f} after {arguments.epochs} epochs, on the digits' test split"
    )
    if accuracy < LEAST_ACCURACY and arguments.epochs >= EPOCHS:
        print(f"that is below {LEAST_ACCURACY}: nothing is written", file=sys.stderr)
        return 1
    save(model, arguments.out)
    print(f"wrote {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

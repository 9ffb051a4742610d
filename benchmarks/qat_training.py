"""Training, timing and batch-norm re-estimation, the same for Keras 3 and for Keras 2.

Like ``qat_nets``, every function takes the Keras to work with, so that both sides of the
comparison see the same batches in the same order, the same optimizer and the same schedule.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# Short turns, so that a busy moment of the machine falls on both models alike.
_TURNS = 12
_STEPS_A_TURN = 16


@dataclass(frozen=True)
class Data:
    """Images (n, height, width, channels) float32 and class numbers (n,) to train on."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Schedule:
    """How to train: Adam, its rate falling from ``learning_rate`` to zero along a cosine."""

    epochs: int
    learning_rate: float
    batch: int
    seed: int


def fit(
    keras: Any, model: Any, data: Data, schedule: Schedule, epoch_done: Callable[[], None]
) -> None:
    """Trains a model of logits in place, on full batches in an order set by the seed."""
    keras.utils.set_random_seed(schedule.seed)
    steps = schedule.epochs * (len(data.x) // schedule.batch)
    compile_model(
        keras, model, keras.optimizers.schedules.CosineDecay(schedule.learning_rate, steps)
    )
    rng = np.random.default_rng(schedule.seed)
    for _ in range(schedule.epochs):
        order = rng.permutation(len(data.x))[: len(data.x) // schedule.batch * schedule.batch]
        model.fit(data.x[order], data.y[order], batch_size=schedule.batch, shuffle=False, verbose=0)
        epoch_done()


def compile_model(keras: Any, model: Any, learning_rate: Any) -> None:
    """Compiles a model of logits for training, without XLA: tf_keras has none by default."""
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )


def batches(data: Data, batch: int) -> Iterator[np.ndarray]:
    """The images in full batches, in their own order."""
    for first in range(0, len(data.x) - batch + 1, batch):
        yield data.x[first : first + batch]


def step_seconds(keras: Any, models: Mapping[str, Any], data: Data, batch: int) -> dict[str, float]:
    """The median time of a training step of each model, measured in turns with the others.

    A step is what ``fit`` does between a batch's begin and its end: forward, backward, update.
    The first turn of each model, which traces it, doesn't count.

    Args:
        keras: The Keras of the models.
        models: Models of logits by name; they are compiled, and trained a little.
        data: At least one batch.
        batch: Samples in a step.

    Returns:
        Seconds by the models' names.
    """

    class Watch(keras.callbacks.Callback):
        """Times every step."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []
            self._begun = 0.0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self._begun = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seconds.append(time.perf_counter() - self._begun)

    for model in models.values():
        compile_model(keras, model, 1e-5)
    watches = {name: Watch() for name in models}
    count = min(len(data.x) // batch, _STEPS_A_TURN) * batch
    for turn in range(_TURNS + 1):
        for name, model in models.items():
            # The first step of a turn waits for the input pipeline to start.
            watch = Watch()
            model.fit(
                data.x[:count],
                data.y[:count],
                batch_size=batch,
                shuffle=False,
                verbose=0,
                callbacks=[watch],
            )
            if turn > 0:
                watches[name].seconds += watch.seconds[1:] or watch.seconds
    return {name: statistics.median(watch.seconds) for name, watch in watches.items()}

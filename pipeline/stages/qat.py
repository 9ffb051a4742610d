"""Quantization-aware training: fine-tunes the float model on the grid that the device has."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.progress import Progress
from converters.tflite.graph import Array
from pipeline.dataset.inputs import InputSpec, keras_inputs, real_inputs
from pipeline.dataset.samples import Dataset, Sample, Split
from pipeline.listener import Listener
from pipeline.report import QatReport
from pipeline.settings import QatSettings, QatStrategy
from pipeline.stages.cluster import Assisted, is_chief, strategy_of, watched

# The samples that are shuffled among each other: a stream is never held as a whole.
_SHUFFLE_BUFFER = 10_000
# Enough batches for the statistics of a batch normalization.
_REESTIMATION_BATCHES = 100


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained quantized model and the report of its training."""

    model: Any
    report: QatReport


def train(
    model: Any, dataset: Dataset, settings: QatSettings, folder: Path, listener: Listener
) -> Trained:
    """Quantizes a float model and fine-tunes it; a run that was killed goes on where it was.

    Args:
        model: The float Keras model, which also teaches when there is distillation.
        dataset: Its training split trains; its calibration split, where it has labels, decides
            on early stopping.
        settings: How.
        folder: Gets ``logs/`` for TensorBoard, the backup of an unfinished training, and
            ``quantized.keras``.
        listener: Hears of the progress.

    Raises:
        TidepoolError: There is no training split, a layer can't be quantized, or another process
            of the training was lost.
        Assisted: This process isn't the chief of a training on several machines, and is done.
    """
    if dataset.train is None:
        raise TidepoolError(
            f"quantization-aware training needs training samples, and dataset {dataset.name} "
            "has none",
            hint="define train() in the recipe, or x_train and y_train in the .npz",
        )
    import keras
    import tensorflow as tf

    from converters import qat

    keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()
    training = _Training(model, dataset.train, dataset.calibration, settings, folder)
    with watched(settings.strategy):
        quantized = training.quantized(listener)
        history = training.fit(quantized, listener)
    if not is_chief(settings.strategy):
        raise Assisted
    if settings.strategy is not QatStrategy.NONE:
        # What the strategy made ends here: everything after the training is for one device.
        trained, quantized = quantized, qat.quantize_model(model, settings.scheme)
        quantized.set_weights(trained.get_weights())
    with listener.stage("re-estimating batch normalization"):
        batches = training.feed.batches(dataset.train, shuffle=True).take(_REESTIMATION_BATCHES)
        qat.reestimate_batch_norm(quantized, (batch[0] for batch in batches))
    folder.mkdir(parents=True, exist_ok=True)
    quantized.save(folder / "quantized.keras")
    losses = history.history["loss"]
    report = QatReport(
        scheme=settings.scheme,
        epochs=history.epoch[-1] + 1 if losses else settings.epochs,
        epochs_resumed=history.epoch[0] if losses else settings.epochs,
        first_loss=losses[0] if losses else None,
        last_loss=losses[-1] if losses else None,
        distillation=settings.distill,
        model_file=str(folder / "quantized.keras"),
        logs=str(folder / "logs"),
    )
    return Trained(quantized, report)


class _Training:
    """One training: the float model, its data and settings, and what it is distributed over.

    Raises:
        TidepoolError: A batch is too small for the replicas, or the processes of a training are
            to train different things.
    """

    def __init__(
        self,
        model: Any,
        split: Split,
        validation: Split | None,
        settings: QatSettings,
        folder: Path,
    ) -> None:
        self.feed = _Feed(keras_inputs(model), settings)
        self._model = model
        self._split = split
        self._validation = validation
        self._settings = settings
        self._folder = folder
        self._steps = steps_of(split, settings.batch_size)
        self._strategy = strategy_of(settings.strategy)
        self._replicas: int = self._strategy.num_replicas_in_sync
        if settings.batch_size < self._replicas:
            raise TidepoolError(
                f"a batch of {settings.batch_size} can't be shared by {self._replicas} replicas",
                hint=f"set qat.batch_size to {self._replicas} or more",
            )

    def quantized(self, listener: Listener) -> Any:
        """The quantized model, its variables on all replicas."""
        from converters import qat

        with listener.stage(f"quantizing the model ({self._settings.scheme})"):
            if self._settings.strategy is QatStrategy.MULTIWORKER:
                from pipeline.stages.replication import agree

                agree(self._strategy, self._common())
            with self._strategy.scope():
                return qat.quantize_model(self._model, self._settings.scheme)

    def _common(self) -> dict[str, list[bytes]]:
        """What the processes of a training must have in common, by its name in an error."""
        first = next(iter(self._split))
        shapes = [tuple(weight.shape) for weight in self._model.weights]
        return {
            "settings": [self._settings.model_dump_json().encode()],
            "models": [str(shapes).encode()],
            "training data": [str(self._steps).encode(), *(x.tobytes() for x in first.inputs)],
        }

    def fit(self, quantized: Any, listener: Listener) -> Any:
        """Trains the quantized model in place; returns Keras's history."""
        settings = self._settings
        title = f"training on the quantized grid, {settings.epochs} epochs"
        if settings.strategy is not QatStrategy.NONE:
            title += f", {self._replicas} replica{'s' if self._replicas > 1 else ''}"
        if settings.strategy is QatStrategy.MIRRORED and self._replicas == 1:
            listener.note("the strategy mirrored found one device: there is nothing to share")
        with listener.stage(title) as progress:
            return self._learner(quantized).fit(
                self.feed.batches(self._split, shuffle=True),
                epochs=settings.epochs,
                shuffle=False,  # it is: by the stream
                verbose=0,
                validation_data=self.feed.validation(self._validation),
                callbacks=self._callbacks(progress),
            )

    def _learner(self, quantized: Any) -> Any:
        """What ``fit`` is called on, compiled: it trains ``quantized``."""
        from converters import qat

        settings = self._settings
        task = task_of(self._model, self._split)
        loss = _loss(self._model, task, self._split)
        with self._strategy.scope():
            optimizer = _optimizer(settings, self._steps)
            learner = quantized
            if settings.distill > 0:
                from pipeline.stages.distillation import Distiller

                learner = Distiller(quantized, self._teacher(), task, settings)
            if settings.strategy is QatStrategy.NONE:
                learner.compile(optimizer=optimizer, loss=loss)
                return learner
            qat.synchronize_batch_norm(quantized)
            learner.compile(optimizer=None, loss=loss)
            optimizer.build(learner.trainable_variables)
        from pipeline.stages.replication import Replicated

        replicated = Replicated(learner, self._strategy)
        replicated.compile(optimizer=optimizer, jit_compile=False)
        return replicated

    def _teacher(self) -> Any:
        """The float model, one for each replica."""
        if self._settings.strategy is QatStrategy.NONE:
            return self._model
        import keras

        teacher = keras.models.clone_model(self._model)
        teacher.set_weights(self._model.get_weights())
        return teacher

    def _callbacks(self, progress: Progress) -> list[Any]:
        import keras

        settings = self._settings
        steps = self._steps * settings.epochs
        callbacks = [_bar(progress, self._steps, steps), keras.callbacks.TerminateOnNaN()]
        if is_chief(settings.strategy):
            callbacks += [
                keras.callbacks.TensorBoard(str(self._folder / "logs")),
                _backup(self._folder, _fingerprint(self._model, settings)),
            ]
        if settings.strategy is QatStrategy.MULTIWORKER:
            from pipeline.stages.replication import StartTogether

            callbacks.append(StartTogether(self._strategy))
        if settings.patience is not None:
            callbacks.append(
                keras.callbacks.EarlyStopping(
                    monitor="val_loss", patience=settings.patience, restore_best_weights=True
                )
            )
        return callbacks


class _Feed:
    """Turns splits into streams of batches."""

    def __init__(self, specs: tuple[InputSpec, ...], settings: QatSettings) -> None:
        self._specs = specs
        self._settings = settings

    def batches(self, split: Split, *, shuffle: bool) -> Any:
        """A ``tf.data.Dataset`` of (inputs, target); without a label the input is the target."""
        import tensorflow as tf

        first = next(iter(split))
        inputs = tuple(tf.TensorSpec(spec.shape, tf.float32) for spec in self._specs)
        target = self._target(first)
        signature = (inputs, tf.TensorSpec(target.shape, target.dtype))
        stream = tf.data.Dataset.from_generator(
            lambda: self._pairs(split), output_signature=signature
        )
        if shuffle:
            stream = stream.shuffle(_SHUFFLE_BUFFER, seed=self._settings.seed)
        # Keras would take the end of a stream of unknown length for missing data.
        batched = stream.batch(self._settings.batch_size).apply(
            tf.data.experimental.assert_cardinality(steps_of(split, self._settings.batch_size))
        )
        if len(self._specs) == 1:
            batched = batched.map(lambda x, y: (x[0], y))
        return batched.prefetch(2)

    def validation(self, split: Split | None) -> Any:
        """The calibration split as validation data, where it can serve as such."""
        if split is None or self._settings.patience is None:
            return None
        return self.batches(split, shuffle=False)

    def _pairs(self, split: Split) -> Iterator[tuple[tuple[Array, ...], Array]]:
        for sample in split:
            yield tuple(real_inputs(sample.inputs, self._specs)), self._target(sample)

    def _target(self, sample: Sample) -> Array:
        if sample.label is None:
            return np.asarray(sample.inputs[0], np.float32).reshape(self._specs[0].shape)
        label = np.asarray(sample.label)
        return label.astype(np.int64 if label.dtype.kind in "iub" else np.float32)


def steps_of(split: Split, batch_size: int) -> int:
    """Batches of one epoch, the last of which may be smaller."""
    count = split.length if split.length is not None else sum(1 for _ in split)
    if count == 0:
        raise TidepoolError("the training split is empty", hint="give at least one sample")
    return -(-count // batch_size)


def _optimizer(settings: QatSettings, steps: int) -> Any:
    """Adam or SGD with a cosine decay to zero: the last steps settle on grid points."""
    import keras

    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, steps * settings.epochs
    )
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(schedule, momentum=0.9)
    return keras.optimizers.Adam(schedule)


class Task(StrEnum):
    """What the model's output is, which decides on its loss."""

    PROBABILITIES = "probabilities"
    """Classes, after a softmax."""
    LOGITS = "logits"
    """Classes, before it."""
    BINARY = "binary"
    """One class or none, after a sigmoid."""
    VALUES = "values"
    """Anything else: real targets, or the input itself."""


def task_of(model: Any, split: Split) -> Task:
    """What a model's output is, by its last layer and the labels of the split."""
    label = next(iter(split)).label
    if label is None:
        return Task.VALUES
    label = np.asarray(label)
    is_class = label.size == 1 and label.dtype.kind in "iub"
    is_one_hot = label.size > 1 and bool(np.isin(label, (0, 1)).all()) and label.sum() == 1
    if not is_class and not is_one_hot:
        return Task.VALUES
    last = model.outputs[0]._keras_history.operation
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    if model.outputs[0].shape[-1] == 1:
        return Task.BINARY
    is_softmax = type(last).__name__ == "Softmax" or activation == "softmax"
    return Task.PROBABILITIES if is_softmax else Task.LOGITS


def _loss(model: Any, task: Task, split: Split) -> Any:
    """The loss that the model was compiled with, else the one that fits its output."""
    import keras

    if getattr(model, "loss", None):
        return model.loss
    if task is Task.VALUES:
        return "mse"
    if task is Task.BINARY:
        return "binary_crossentropy"
    from_logits = task is Task.LOGITS
    label = np.asarray(next(iter(split)).label)
    if label.size == 1:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    return keras.losses.CategoricalCrossentropy(from_logits=from_logits)


def _bar(progress: Progress, steps: int, total: int) -> Any:
    import keras

    class Bar(keras.callbacks.Callback):  # type: ignore[misc]
        """Moves the progress bar with every step."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.done = epoch * steps

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            progress(self.done + batch + 1, total)

    return Bar()


def _backup(folder: Path, fingerprint: str) -> Any:
    """Keras's backup of every epoch; one of another model or other settings is deleted."""
    import keras

    class Backup(keras.callbacks.BackupAndRestore):  # type: ignore[misc]
        """Keeps two states, so that a kill while one is written leaves the other."""

        def on_train_begin(self, logs: Any = None) -> None:
            try:
                super().on_train_begin(logs)
            except (OSError, json.JSONDecodeError):
                # Killed within the first one: there is nothing to go on from.
                shutil.rmtree(self.backup_dir)

    # A backup goes with the settings and weights it was made of: another run starts anew.
    backup = folder / f"backup-{fingerprint}"
    for other in folder.glob("backup-*"):
        if other != backup:
            shutil.rmtree(other)
    return Backup(str(backup), double_checkpoint=True)


def _fingerprint(model: Any, settings: QatSettings) -> str:
    total = hashlib.sha256(json.dumps(settings.model_dump(mode="json")).encode())
    for weights in model.get_weights():
        total.update(np.ascontiguousarray(weights).tobytes())
    return total.hexdigest()[:16]

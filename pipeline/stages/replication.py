"""Training on several replicas: Keras's ``fit``, each step of which runs on all of them.

Every process reads the same stream of batches, and every replica takes its part of each: what one
process would see in a step, the replicas see together. Losses are parts of the batch's mean,
gradients their sum; batch normalization and activation ranges look at the whole batch
(``converters.qat.replicas``). So the result is that of a single process up to the order of
floating-point sums.

Keras's own ``fit`` under a strategy scales by the number of replicas, not of samples, and doesn't
run at all on several machines (Keras 3.15). So the model that ``fit`` sees belongs to no strategy;
its steps enter the strategy themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from converters.errors import TidepoolError
from converters.qat.replicas import widest_range
from converters.tflite.graph import Array


class Replicated(keras.Model):  # type: ignore[misc]
    """Trains a model on the replicas of a strategy.

    Args:
        learner: The model, made in the strategy's scope and compiled with its loss; this one is
            compiled with the optimizer, which is made and built in the scope, too.
        strategy: A ``MirroredStrategy`` or ``MultiWorkerMirroredStrategy``.
    """

    def __init__(self, learner: Any, strategy: Any) -> None:
        super().__init__(name="replicated")
        self.learner = learner
        self._strategy = strategy
        self._mean_loss = keras.metrics.Mean(name="loss")
        self.built = True  # the learner is: there are no weights of its own

    @property
    def metrics(self) -> list[Any]:
        """The loss of the whole batches."""
        return [self._mean_loss]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """What the learner computes."""
        return self.learner(inputs, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step of the optimizer, for a batch of (inputs, targets)."""
        return self._step(self._learn, data)

    def test_step(self, data: Any) -> dict[str, Any]:
        """The loss of a batch."""
        return self._step(self._examine, data)

    def _step(self, of_replica: Any, data: Any) -> dict[str, Any]:
        losses = self._strategy.run(of_replica, args=data)
        with self._strategy.scope():
            loss = self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)
        self._mean_loss.update_state(loss, sample_weight=tf.shape(data[1])[0])
        return {"loss": self._mean_loss.result()}

    def _learn(self, inputs: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = self._loss(inputs, targets, training=True)
        variables = self.learner.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def _examine(self, inputs: Any, targets: Any) -> Any:
        return self._loss(inputs, targets, training=False)

    def _loss(self, inputs: Any, targets: Any, *, training: bool) -> Any:
        (x, y), share = part_of_replica((inputs, targets))
        outputs = self.learner(x, training=training)
        loss = self.learner.compute_loss(x=x, y=y, y_pred=outputs, training=training)
        # Keras took the mean over the part and divided it by the number of replicas.
        return loss * share


def part_of_replica(batch: Any) -> tuple[Any, Any]:
    """The part of a batch that falls to the current replica; to be called in a replica's context.

    Part ``r`` of ``n`` of ``m`` samples is ``r * m // n`` up to ``(r + 1) * m // n``. Of fewer
    samples than replicas all go to all of them: a part without samples has no mean.

    Args:
        batch: Tensors, each with the samples along its first axis.

    Returns:
        The tensors' parts, and their weight, float32: how many samples are in this part, over how
        many are in a part on average.
    """
    context = tf.distribute.get_replica_context()
    replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
    # Cut in the host's memory: the device gets its part only.
    with tf.device("CPU:0"):
        size = tf.shape(tf.nest.flatten(batch)[0])[0]
        everything = size < replicas
        first = tf.where(everything, 0, replica * size // replicas)
        last = tf.where(everything, size, (replica + 1) * size // replicas)
        part = tf.nest.map_structure(lambda tensor: tensor[first:last], batch)
        weight = tf.cast((last - first) * replicas, tf.float32) / tf.cast(size, tf.float32)
        return part, tf.where(everything, 1.0, weight)


class StartTogether(keras.callbacks.Callback):  # type: ignore[misc]
    """Lets all processes begin with the chief's weights, optimizer state and epoch.

    It comes after the chief's ``BackupAndRestore``: only the chief has a backup.
    """

    def __init__(self, strategy: Any) -> None:
        super().__init__()
        self._strategy = strategy

    def on_train_begin(self, logs: Any = None) -> None:
        """Takes over what the chief has."""
        variables = [*self.model.weights, *self.model.optimizer.variables]
        values = [keras.ops.convert_to_numpy(variable) for variable in variables]
        # Where BackupAndRestore puts the epoch, and where fit looks for it.
        values.append(np.asarray(self.model._initial_epoch or 0, np.int64))
        *taken, epoch = _of_first_replica(self._strategy, values)
        for variable, value in zip(variables, taken, strict=True):
            variable.assign(value)
        self.model._initial_epoch = int(epoch)


def _of_first_replica(strategy: Any, values: Sequence[Array]) -> list[Array]:
    """What the first replica gives for ``values``, on every process; shapes must agree."""
    # One collective for each type: hundreds at once would take as many threads each.
    result = [np.empty(0)] * len(values)
    for type_ in (np.float32, np.float64, np.int64):
        # All-reduce knows no unsigned types.
        chosen = [k for k, v in enumerate(values) if _carrier(v.dtype) == type_]
        sizes = [values[k].size for k in chosen]
        if not chosen:
            continue
        packed = np.concatenate([values[k].reshape(-1).astype(type_) for k in chosen])
        parts = np.split(_shared(strategy, packed), np.cumsum(sizes)[:-1])
        for k, part in zip(chosen, parts, strict=True):
            result[k] = part.reshape(values[k].shape).astype(values[k].dtype)
    return result


def _carrier(dtype: Any) -> Any:
    """The type that values of a type travel as, without loss."""
    if dtype.kind != "f":
        return np.int64
    return np.float64 if dtype.itemsize > 4 else np.float32


def _shared(strategy: Any, values: Array) -> Array:
    """The first replica's values."""

    def of_replica() -> Any:
        context = tf.distribute.get_replica_context()
        own = tf.constant(values)
        first = context.replica_id_in_sync_group == 0
        mine = tf.where(first, own, tf.zeros_like(own))
        return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

    return _local(strategy, tf.function(lambda: strategy.run(of_replica))())


def _local(strategy: Any, value: Any) -> Array:
    return np.asarray(strategy.experimental_local_results(value)[0])


def agree(strategy: Any, contents: Mapping[str, Iterable[bytes]]) -> None:
    """Asserts that all processes are to train the same: otherwise they'd wait for each other.

    Args:
        strategy: Of the processes.
        contents: What has to be the same, by its name.

    Raises:
        TidepoolError: It names what isn't.
    """
    digests = [hashlib.sha256(b"".join(parts)).digest() for parts in contents.values()]
    own = np.array([int.from_bytes(digest[:7], "big") for digest in digests], np.int64)

    def of_replica() -> tuple[Any, Any]:
        return widest_range(tf.constant(own), tf.constant(own))

    results = tf.function(lambda: strategy.run(of_replica))()
    low, high = (_local(strategy, limit) for limit in results)
    differing = [name for name, a, b in zip(contents, low, high, strict=True) if a != b]
    if differing:
        raise TidepoolError(
            f"the processes of the training differ in their {' and '.join(differing)}",
            hint="start all of them with the same command, on copies of the same files",
        )

"""Knowledge distillation: the float model teaches the quantized one.

The loss of a batch is ``(1 - a) * task + a * T^2 * KL(softmax(t / T) || softmax(s / T))`` with the
weight ``a``, the temperature ``T``, and the teacher's and the student's logits ``t`` and ``s``
(Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2). For outputs that are no class
probabilities the second term is the mean squared difference of the outputs.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from pipeline.settings import QatSettings
from pipeline.stages.qat import Task


class Distiller(keras.Model):  # type: ignore[misc]
    """The quantized model with a loss that also looks at the teacher.

    Args:
        student: The quantized model, which is trained in place.
        teacher: The float model; it isn't trained.
        task: What the outputs are.
        settings: ``distill`` is the weight of the teacher's part, ``distill_temperature`` T.
    """

    def __init__(self, student: Any, teacher: Any, task: Task, settings: QatSettings) -> None:
        super().__init__(name="distiller")
        self.student = student
        self.teacher = teacher
        self.teacher.trainable = False
        self._task = task
        self._weight = settings.distill
        self._temperature = settings.distill_temperature
        self.built = True  # both models are: there are no weights of its own

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """What the student computes."""
        return self.student(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The task's loss, mixed with the distance to the teacher."""
        task = super().compute_loss(x, y, y_pred, sample_weight, training)
        taught = self.teacher(x, training=False)
        distance = _distance(taught, y_pred, self._task, self._temperature)
        # As Keras does to its losses: the replicas' are summed up.
        distance /= tf.distribute.get_strategy().num_replicas_in_sync
        return (1 - self._weight) * task + self._weight * distance


def _distance(taught: Any, learnt: Any, task: Task, temperature: float) -> Any:
    ops = keras.ops
    if task in {Task.BINARY, Task.VALUES}:
        return ops.mean(ops.square(taught - learnt))
    if task is Task.PROBABILITIES:
        # Logits up to a constant, which the softmax takes out again.
        taught, learnt = (ops.log(ops.maximum(p, 1e-7)) for p in (taught, learnt))
    wanted = ops.log_softmax(taught / temperature)
    found = ops.log_softmax(learnt / temperature)
    divergence = ops.sum(ops.exp(wanted) * (wanted - found), axis=-1)
    return temperature**2 * ops.mean(divergence)

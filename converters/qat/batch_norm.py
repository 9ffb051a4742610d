"""Batch normalization in training: one batch for all replicas, freezing, re-estimating."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.qat.affine import QuantizeAffine
from converters.qat.runtime import Phase, keras, phase
from converters.qat.wrapper import QuantizeWrapper


def batch_norms(model: Any) -> list[Any]:
    """The batch normalizations of a quantized model, folded ones included."""
    found = []
    for layer in model.layers:
        own = layer
        if isinstance(layer, QuantizeWrapper | QuantizeAffine):
            own = layer.batch_normalization
        if isinstance(own, keras.layers.BatchNormalization):
            found.append(own)
    return found


def synchronize_batch_norm(model: Any) -> None:
    """Makes the replicas of a distributed training take the statistics of the whole batch.

    Without it each takes those of its part of a batch, and keeps moving statistics of its own.
    """
    for normalize in batch_norms(model):
        normalize.synchronized = True


def freeze_batch_norm(model: Any) -> None:
    """Stops the batch normalizations: training goes on with their moving statistics.

    The last epochs then train what inference computes (Jacob et al. 2018, section 3.2;
    Krishnamoorthi 2018, section 3.2.2). gamma and beta stay where they are too.
    """
    for normalize in batch_norms(model):
        normalize.trainable = False
    # Whether a layer trains is looked up when the step is traced.
    if getattr(model, "compiled", False):
        model.make_train_function(force=True)


def reestimate_batch_norm(model: Any, data: Iterable[Any]) -> None:
    """Sets the moving statistics to those of the data under the final weights.

    Training leaves averages that lag behind weights which jump between grid points. Here every
    batch's mean and variance, computed with rounded weights and activations, count the same:
    ``mean = sum(mu_b) / B``, ``variance = sum(var_b) / B`` (Nagel et al. 2022, arXiv:2203.11086,
    section 4.1; as a last step at a learning rate of 0).

    Args:
        model: A quantized model.
        data: Batches of inputs in the structure that the model takes; of a pair or triple
            (inputs, targets) only the inputs. They should be shuffled and of the training's size.

    Raises:
        TidepoolError: There are no batches.
    """
    import tensorflow as tf

    layers = batch_norms(model)
    if not layers:
        return
    momenta = [normalize.momentum for normalize in layers]
    trainable = [normalize.trainable for normalize in layers]
    try:
        for normalize in layers:
            # With a momentum of 0 the moving statistics are those of the batch.
            normalize.momentum, normalize.trainable = 0.0, True

        @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
        def forward(inputs: Any) -> None:
            with phase(Phase.REESTIMATE):
                model(inputs, training=False)

        sums: list[Any] = []
        count = 0
        for batch in data:
            forward(batch[0] if isinstance(batch, tuple) else batch)
            seen = [
                np.asarray(variable.value, np.float64)
                for normalize in layers
                for variable in (normalize.moving_mean, normalize.moving_variance)
            ]
            sums = [a + b for a, b in zip(sums, seen, strict=True)] if sums else seen
            count += 1
    finally:
        for normalize, momentum, trains in zip(layers, momenta, trainable, strict=True):
            normalize.momentum, normalize.trainable = momentum, trains
    if count == 0:
        raise TidepoolError(
            "there are no batches to re-estimate the batch normalization on",
            hint="give batches of the training data",
        )
    for index, normalize in enumerate(layers):
        normalize.moving_mean.assign(sums[2 * index] / count)
        normalize.moving_variance.assign(sums[2 * index + 1] / count)

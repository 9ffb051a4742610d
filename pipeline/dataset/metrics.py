"""Metrics: one number for how good a model's outputs are on a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Array

_CHUNK = 256


@dataclass(frozen=True)
class Metric:
    """A metric over a split.

    Attributes:
        name: For example ``accuracy``.
        higher_is_better: False for an error.
        fn: ``fn(outputs, targets) -> float``, both with the samples along the first axis.
        averages: Whether the metric of a split is the mean of its samples' metrics, so that it
            can be computed piece by piece. A recipe's own metric gets all outputs at once.
    """

    name: str
    higher_is_better: bool
    fn: Callable[[Array, Array], float]
    averages: bool = False


@dataclass(frozen=True)
class Score:
    """A metric's value and the number of samples it was computed on."""

    metric: str
    value: float
    samples: int


def accuracy(outputs: Array, targets: Array) -> float:
    """The share of samples with the right class.

    Args:
        outputs: ``(n, classes)`` scores, or ``(n, 1)`` or ``(n,)`` probabilities of class 1.
        targets: ``(n,)`` or ``(n, 1)`` class indices, or ``(n, classes)`` one-hot.

    Returns:
        0 to 1.
    """
    scores = outputs.reshape(len(outputs), -1)
    if scores.shape[1] == 1:
        predicted = (scores[:, 0] > 0.5).astype(np.int64)
    else:
        predicted = scores.argmax(axis=1)
    labels = targets.reshape(len(targets), -1)
    expected = labels[:, 0] if labels.shape[1] == 1 else labels.argmax(axis=1)
    return float(np.mean(predicted == expected))


def mean_squared_error(outputs: Array, targets: Array) -> float:
    """The mean of the squared differences, over all elements of all samples, in real units."""
    want = targets.astype(np.float64).reshape(outputs.shape)
    return float(np.mean(np.square(outputs.astype(np.float64) - want)))


ACCURACY = Metric("accuracy", True, accuracy, averages=True)
MEAN_SQUARED_ERROR = Metric("mean_squared_error", False, mean_squared_error, averages=True)


def choose_metric(
    own: Metric | None,
    output_shape: tuple[int, ...],
    label: Array | None,
    input_shape: tuple[int, ...],
) -> Metric:
    """The metric that fits a model and its data.

    Args:
        own: The recipe's metric; it wins.
        output_shape: Shape of the model's (first) output, without the batch.
        label: The label of some sample; None where there are none.
        input_shape: Shape of the model's (first) input, without the batch.

    Returns:
        Accuracy for labels that are a class (an integer, or one-hot in the output's shape), mean
        squared error for real-valued targets, and for an autoencoder, against its own input.

    Raises:
        TidepoolError: Neither fits: a recipe has to bring its metric.
    """
    if own is not None:
        return own
    outputs = int(np.prod(output_shape))
    if label is None:
        if outputs == int(np.prod(input_shape)):
            return MEAN_SQUARED_ERROR
        raise TidepoolError(
            f"the samples have no labels, and the model isn't an autoencoder (input {input_shape}, "
            f"output {output_shape}): there is no metric for it",
            hint="give labels, or define metric(outputs, targets) in a recipe",
        )
    if label.size == 1 and np.issubdtype(label.dtype, np.integer):
        return ACCURACY
    if label.size == 1 and label.dtype == np.bool_:
        return ACCURACY
    if label.size == outputs:
        one_hot = outputs > 1 and np.isin(label, (0, 1)).all() and label.sum() == 1
        return ACCURACY if one_hot else MEAN_SQUARED_ERROR
    raise TidepoolError(
        f"labels of shape {label.shape} ({label.dtype}) don't fit the model's output "
        f"{output_shape}: there is no metric for it",
        hint="give class indices or one-hot labels, or define metric(outputs, targets) in a recipe",
    )


def evaluate(metric: Metric, pairs: Iterable[tuple[Array, Array]]) -> Score:
    """Computes a metric over a stream of (output, target) pairs, one for each sample.

    Args:
        metric: The metric.
        pairs: Outputs in real units, without a batch, and what they should be.

    Raises:
        TidepoolError: There are no pairs, or the metric gives no finite number.
    """
    total = 0.0
    count = 0
    chunk: list[tuple[Array, Array]] = []
    for pair in pairs:
        chunk.append(pair)
        if metric.averages and len(chunk) == _CHUNK:
            total += _value(metric, chunk) * len(chunk)
            count += len(chunk)
            chunk = []
    if chunk:
        total += _value(metric, chunk) * len(chunk)
        count += len(chunk)
    if count == 0:
        raise TidepoolError("the test split is empty", hint="give at least one test sample")
    return Score(metric.name, total / count, count)


def _value(metric: Metric, pairs: list[tuple[Array, Array]]) -> float:
    outputs = np.stack([output for output, _ in pairs])
    targets = np.stack([np.asarray(target) for _, target in pairs])
    try:
        value = float(metric.fn(outputs, targets))
    except TidepoolError:
        raise
    except Exception as error:
        raise TidepoolError(
            f"metric '{metric.name}' failed on outputs {outputs.shape} and targets "
            f"{targets.shape}: {type(error).__name__}: {error}",
            hint="metric(outputs, targets) gets arrays with the samples along the first axis",
        ) from error
    if not np.isfinite(value):
        raise TidepoolError(
            f"metric '{metric.name}' is {value}", hint="check the labels and the metric"
        )
    return value

"""Metrics: their values, which one is chosen, and that pieces add up to the whole."""

from __future__ import annotations

import numpy as np
import pytest

from converters.errors import TidepoolError
from pipeline.dataset import Metric, choose_metric, evaluate
from pipeline.dataset.metrics import ACCURACY, MEAN_SQUARED_ERROR, accuracy, mean_squared_error


def test_accuracy_of_classes_one_hot_and_one_output() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert accuracy(outputs, np.array([1, 0, 0, 0])) == 0.75
    assert accuracy(outputs, np.array([[1], [0], [0], [0]])) == 0.75
    assert accuracy(outputs, np.eye(2)[[1, 0, 0, 0]]) == 0.75
    assert accuracy(np.array([[0.6], [0.4], [0.51]]), np.array([1, 0, 0])) == pytest.approx(2 / 3)


def test_mean_squared_error() -> None:
    assert mean_squared_error(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]])) == 2.5


@pytest.mark.parametrize(
    ("label", "output_shape", "input_shape", "expected"),
    [
        (np.asarray(3), (10,), (8, 8, 1), ACCURACY),
        (np.eye(10)[3], (10,), (8, 8, 1), ACCURACY),
        (np.asarray(True), (1,), (4,), ACCURACY),
        (None, (640,), (640,), MEAN_SQUARED_ERROR),
        (np.asarray(0.5), (1,), (4,), MEAN_SQUARED_ERROR),
        (np.array([0.2, 3.0]), (2,), (4,), MEAN_SQUARED_ERROR),
    ],
)
def test_the_metric_follows_from_labels_and_shapes(
    label: np.ndarray | None,
    output_shape: tuple[int, ...],
    input_shape: tuple[int, ...],
    expected: Metric,
) -> None:
    assert choose_metric(None, output_shape, label, input_shape) is expected


def test_a_recipes_own_metric_wins() -> None:
    own = Metric("f1", True, lambda outputs, targets: 0.5)
    assert choose_metric(own, (10,), np.asarray(3), (4,)) is own


@pytest.mark.parametrize("label", [None, np.ones(3)])
def test_no_metric_fits(label: np.ndarray | None) -> None:
    with pytest.raises(TidepoolError, match="no metric for it") as caught:
        choose_metric(None, (10,), label, (4,))
    assert "metric(outputs, targets)" in caught.value.hint


@pytest.mark.parametrize("metric", [ACCURACY, MEAN_SQUARED_ERROR])
@pytest.mark.parametrize("count", [1, 256, 700])
def test_pieces_add_up_to_the_whole(metric: Metric, count: int) -> None:
    generator = np.random.default_rng(count)
    outputs = generator.uniform(0, 1, (count, 3))
    targets = np.eye(3)[generator.integers(0, 3, count)]
    score = evaluate(metric, zip(outputs, targets, strict=True))
    assert score.value == pytest.approx(metric.fn(outputs, targets))
    assert (score.metric, score.samples) == (metric.name, count)


def test_an_own_metric_gets_all_samples_at_once() -> None:
    own = Metric("median", True, lambda outputs, targets: float(np.median(outputs)))
    pairs = [(np.array([float(i)]), np.asarray(0)) for i in range(1001)]
    assert evaluate(own, pairs).value == 500


def test_metrics_that_fail() -> None:
    def broken(outputs: np.ndarray, targets: np.ndarray) -> float:
        raise IndexError("too far")

    pairs = [(np.ones(2), np.asarray(0))]
    with pytest.raises(TidepoolError, match=r"'mine' failed on .*IndexError: too far"):
        evaluate(Metric("mine", True, broken), pairs)
    with pytest.raises(TidepoolError, match="'mine' is nan"):
        evaluate(Metric("mine", True, lambda outputs, targets: float("nan")), pairs)
    with pytest.raises(TidepoolError, match="test split is empty"):
        evaluate(ACCURACY, [])

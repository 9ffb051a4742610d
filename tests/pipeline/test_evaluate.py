"""The gate, and doubts about the data."""

from __future__ import annotations

import pytest

from converters.errors import ExitCode
from converters.tflite import Graph
from converters.tflite.builder import GraphBuilder
from pipeline.dataset.metrics import ACCURACY, MEAN_SQUARED_ERROR
from pipeline.report import EvaluationReport
from pipeline.stages.evaluate import doubts, gate_error, loss


def ten_classes() -> Graph:
    builder = GraphBuilder()
    x = builder.input((1, 10), 1.0, 0)
    builder.output(builder.op("RELU", [x], None, shape=(1, 10), scale=1.0, zero_point=0))
    return builder.graph()


def report(before: float, after: float, *, passed: bool = True) -> EvaluationReport:
    return EvaluationReport(
        metric="accuracy",
        higher_is_better=True,
        samples=100,
        float_value=before,
        int8_value=after,
        drop=(before - after) * 100,
        max_drop=1.0,
        passed=passed,
    )


def test_loss_is_in_points_of_a_score_and_percent_of_an_error() -> None:
    assert loss(ACCURACY, 0.95, 0.93) == pytest.approx(2.0)
    assert loss(ACCURACY, 0.93, 0.95) == pytest.approx(-2.0)
    assert loss(MEAN_SQUARED_ERROR, 0.10, 0.11) == pytest.approx(10.0)
    assert loss(MEAN_SQUARED_ERROR, 0.0, 0.0) == 0.0
    assert loss(MEAN_SQUARED_ERROR, 0.0, 0.1) == float("inf")


def test_failed_gate_says_by_how_much_and_has_its_own_exit_code() -> None:
    assert gate_error(report(0.95, 0.945)) is None
    error = gate_error(report(0.95, 0.90, passed=False))
    assert error is not None and error.exit_code is ExitCode.GATE
    assert "5.00 percentage points" in error.message and "1 allowed" in error.message


def test_float_model_that_guesses_raises_a_doubt_about_the_scale() -> None:
    (doubt,) = doubts(report(0.12, 0.12), ten_classes(), [(0.0, 255.0)])
    assert "0 to 255" in doubt and "12.0%" in doubt
    assert doubts(report(0.9, 0.9), ten_classes(), [(0.0, 255.0)]) == []

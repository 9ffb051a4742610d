"""Datasets: loading, checking against a model, and metrics.

``load_dataset`` returns a ``Dataset`` of streamed splits, ``check_dataset`` what is wrong or
suspicious about it, ``choose_metric`` and ``evaluate`` how good a model is on it.
"""

from __future__ import annotations

from pipeline.dataset.checks import (
    DatasetReport,
    DatasetWarning,
    WarningCode,
    check_dataset,
)
from pipeline.dataset.inputs import (
    InputSpec,
    graph_inputs,
    keras_inputs,
    quantized_inputs,
    real_inputs,
)
from pipeline.dataset.load import load_dataset
from pipeline.dataset.metrics import Metric, Score, choose_metric, evaluate
from pipeline.dataset.samples import Dataset, DatasetKind, Sample, Split, SplitName

__all__ = [
    "Dataset",
    "DatasetKind",
    "DatasetReport",
    "DatasetWarning",
    "InputSpec",
    "Metric",
    "Sample",
    "Score",
    "Split",
    "SplitName",
    "WarningCode",
    "check_dataset",
    "choose_metric",
    "evaluate",
    "graph_inputs",
    "keras_inputs",
    "load_dataset",
    "quantized_inputs",
    "real_inputs",
]

"""The metric on held-out samples, of the float and of the int8 model, and the gate on the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from converters.errors import ExitCode, TidepoolError
from converters.progress import Progress
from converters.tflite import Graph
from converters.tflite.affine import dequantize
from converters.tflite.graph import Array
from converters.tflite.verify import predict_keras
from device_runners.host.oracle import Oracle
from device_runners.runner import Int8Model
from pipeline.dataset.inputs import keras_inputs, quantized_inputs, real_inputs
from pipeline.dataset.metrics import Metric, choose_metric
from pipeline.dataset.metrics import evaluate as score
from pipeline.dataset.samples import Dataset, DatasetKind, Sample, Split
from pipeline.listener import Listener
from pipeline.report import EvaluationReport
from pipeline.settings import GateSettings

_BATCH = 64
# Up to this many times as often right as by chance, a classifier hardly looks at its input.
_GUESSING = 1.5


def metric_of(dataset: Dataset, graph: Graph) -> Metric | None:
    """The metric that a dataset allows for a model.

    Returns:
        None when there is nothing to measure: no test split, random data, or samples without
        labels for a model that isn't an autoencoder.
    """
    if dataset.kind is DatasetKind.RANDOM or dataset.test is None:
        return None
    first = next(iter(dataset.test), None)
    if first is None:
        return None
    source, output = graph.input_tensors[0], graph.output_tensors[0]
    if dataset.metric is None and first.label is None and source.elements != output.elements:
        return None
    return choose_metric(dataset.metric, output.shape[1:], first.label, source.shape[1:])


def class_count(
    dataset: Dataset, input_shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> int | None:
    """How many classes a model tells apart; None when the data isn't for a classifier."""
    if dataset.kind is DatasetKind.RANDOM or dataset.test is None:
        return None
    first = next(iter(dataset.test), None)
    if first is None or first.label is None:
        return None
    metric = choose_metric(None, output_shape, first.label, input_shape)
    return math.prod(output_shape) if metric.name == "accuracy" else None


def evaluate(
    keras_model: Any | None,
    model: Int8Model,
    metric: Metric,
    test: Split,
    settings: GateSettings,
    listener: Listener,
) -> EvaluationReport:
    """Measures both models on the same test samples.

    Args:
        keras_model: The Keras model; None when the model came in as int8.
        model: The int8 model.
        metric: What to measure.
        test: The samples; at most ``test_samples`` of them are used.
        settings: The gate.
        listener: Hears of the progress.
    """
    split = test if settings.test_samples is None else test.take(settings.test_samples)
    float_value = None
    if keras_model is not None:
        with listener.stage(f"{metric.name} of the float model") as progress:
            pairs = _counted(_float_pairs(keras_model, model.graph, split), progress, split.length)
            float_value = score(metric, pairs).value
    with listener.stage(f"{metric.name} of the int8 model") as progress:
        pairs = _counted(_int8_pairs(model, split), progress, split.length)
        result = score(metric, pairs)
    drop = None if float_value is None else loss(metric, float_value, result.value)
    return EvaluationReport(
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        samples=result.samples,
        float_value=float_value,
        int8_value=result.value,
        drop=drop,
        max_drop=settings.max_drop,
        passed=drop is None or drop <= settings.max_drop,
    )


def loss(metric: Metric, before: float, after: float) -> float:
    """What was lost: percentage points of a score, percent of an error; negative for a gain."""
    if metric.higher_is_better:
        return (before - after) * 100
    if before == 0:
        return 0.0 if after == 0 else float("inf")
    return (after - before) / abs(before) * 100


def doubts(
    evaluation: EvaluationReport, graph: Graph, ranges: Sequence[tuple[float, float]]
) -> list[str]:
    """What makes the figures doubtful though nothing is wrong with the conversion.

    Calibration and test data that are both on another scale than the training data (0..255 for a
    model trained on 0..1) agree with each other: only a float model that guesses gives it away.
    """
    classes = graph.output_tensors[0].elements
    value = evaluation.float_value
    if evaluation.metric != "accuracy" or value is None or value > _GUESSING / max(classes, 2):
        return []
    spans = ", ".join(f"{low:g} to {high:g}" for low, high in ranges)
    return [
        f"the float model itself is right on only {value:.1%} of the test samples, whose values "
        f"span {spans}: scale them as for training, and number the classes likewise"
    ]


def gate_error(evaluation: EvaluationReport) -> TidepoolError | None:
    """The error that a run ends with when the gate didn't pass."""
    if evaluation.passed or evaluation.drop is None or evaluation.float_value is None:
        return None
    unit = "percentage points" if evaluation.higher_is_better else "percent"
    return TidepoolError(
        f"the int8 model lost {evaluation.drop:.2f} {unit} of {evaluation.metric} "
        f"({evaluation.float_value:.4f} to {evaluation.int8_value:.4f} on {evaluation.samples} "
        f"test samples), more than the {evaluation.max_drop:g} allowed",
        hint="calibrate on more or more typical samples, or allow more with --max-drop",
        exit_code=ExitCode.GATE,
    )


def score_outputs(
    metric: Metric, graph: Graph, samples: Sequence[Sample], outputs: Sequence[Sequence[Array]]
) -> float:
    """The metric of quantized outputs that were computed elsewhere, for example on a device."""
    pairs = (
        _pair(dequantize(output[0], graph.output_tensors[0]), sample, graph)
        for sample, output in zip(samples, outputs, strict=True)
    )
    return score(metric, pairs).value


def _counted(
    pairs: Iterator[tuple[Array, Array]], progress: Progress, total: int | None
) -> Iterator[tuple[Array, Array]]:
    for done, pair in enumerate(pairs, start=1):
        yield pair
        progress(done, total)


def _int8_pairs(model: Int8Model, split: Split) -> Iterator[tuple[Array, Array]]:
    oracle = Oracle(model.content)
    output = model.graph.output_tensors[0]
    for sample in split:
        result = oracle.run(quantized_inputs(sample.inputs, model.graph))[0]
        yield _pair(dequantize(result, output), sample, model.graph)


def _float_pairs(model: Any, graph: Graph, split: Split) -> Iterator[tuple[Array, Array]]:
    specs = keras_inputs(model)
    stream = iter(split)
    while batch := list(islice(stream, _BATCH)):
        outputs = predict_keras(model, [real_inputs(sample.inputs, specs) for sample in batch])
        for sample, output in zip(batch, outputs[0], strict=True):
            yield _pair(output, sample, graph)


def _pair(output: Array, sample: Sample, graph: Graph) -> tuple[Array, Array]:
    """An output without its batch, and what it should be: the label, else the input itself."""
    if sample.label is not None:
        target = np.asarray(sample.label)
    else:
        source, tensor = sample.inputs[0], graph.input_tensors[0]
        is_quantized = source.dtype == tensor.type.dtype
        target = dequantize(source, tensor) if is_quantized else source
    return output.reshape(graph.output_tensors[0].shape[1:]), target

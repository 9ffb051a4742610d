"""Keras to full-integer TFLite, refused unless it is pure int8 and agrees with the Keras model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from converters.tflite import Graph, read_graph
from converters.tflite.convert import ConvertOptions, convert_int8
from converters.tflite.graph import Array
from converters.tflite.verify import check_agreement, check_full_integer, compare_with_keras
from device_runners.host.oracle import Oracle
from pipeline.dataset.inputs import keras_inputs, real_inputs
from pipeline.dataset.samples import Split
from pipeline.listener import Listener
from pipeline.report import AgreementReport
from pipeline.settings import ConversionSettings


@dataclass(frozen=True, eq=False)
class Converted:
    """An int8 model and how it agrees with the Keras model."""

    content: bytes
    graph: Graph
    agreement: list[AgreementReport]


def convert(
    model: Any, calibration: Split, settings: ConversionSettings, listener: Listener
) -> Converted:
    """Converts and verifies.

    Args:
        model: The Keras model.
        calibration: The samples that calibrate; at most ``calibration_samples`` of them are used.
        settings: Number of samples, per-channel dense weights, time limit.
        listener: Hears of the progress.

    Raises:
        TidepoolError: The converter fails, or its result isn't pure int8, or it disagrees with
            the Keras model.
    """
    split = calibration.take(settings.calibration_samples)
    options = ConvertOptions(
        per_channel_dense=settings.per_channel_dense, time_limit=settings.timeout_seconds
    )
    with listener.stage("converting to full-integer int8") as progress:
        content = convert_int8(
            model,
            lambda: _inputs(model, split),
            options=options,
            progress=lambda done, _: progress(done, split.length),
        )
    return _verified(model, content, split, listener)


def convert_trained(
    model: Any, calibration: Split, settings: ConversionSettings, listener: Listener
) -> Converted:
    """Converts a model of quantization-aware training, whose ranges are the trained ones.

    Args:
        model: The trained quantized model.
        calibration: The samples that the two are compared on.
        settings: Number of samples, time limit.
        listener: Hears of the progress.

    Raises:
        TidepoolError: As for ``convert``; or a weight or range in the file isn't the trained one.
    """
    from converters.qat import convert_quantized

    with listener.stage("converting to full-integer int8, with the trained ranges"):
        content = convert_quantized(model, time_limit=settings.timeout_seconds)
    return _verified(model, content, calibration.take(settings.calibration_samples), listener)


def _inputs(model: Any, split: Split) -> Iterator[list[Array]]:
    specs = keras_inputs(model)
    return (real_inputs(sample.inputs, specs) for sample in split)


def _verified(model: Any, content: bytes, split: Split, listener: Listener) -> Converted:
    graph = read_graph(content)
    check_full_integer(graph)
    with listener.stage("comparing with the Keras model") as progress:
        agreements = compare_with_keras(
            model,
            graph,
            Oracle(content).run,
            _inputs(model, split),
            progress=lambda done, _: progress(done, split.length),
        )
        check_agreement(agreements)
    # An autoencoder's output is as large as its input: no class stands at its largest element.
    is_autoencoder = graph.output_tensors[0].elements == graph.input_tensors[0].elements
    reports = [
        AgreementReport(
            output=item.output,
            samples=item.samples,
            mean_error=item.mean_error,
            worst_error=item.worst_error,
            mean_error_lsb=item.mean_error_lsb,
            worst_error_lsb=item.worst_error_lsb,
            correlation=item.correlation,
            argmax_agreement=None if is_autoencoder else item.argmax_agreement,
        )
        for item in agreements
    ]
    return Converted(content, graph, reports)

"""``tidepool run``: a compiled model on an Edge TPU, compared with the reference on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converters.errors import ExitCode, TidepoolError
from converters.tflite import Graph, Tensor, read_graph
from converters.tflite.graph import Array, TensorType
from device_runners.edge_tpu.device import (
    CPU,
    DeviceOptions,
    DeviceRun,
    Difference,
    before_compilation,
    difference,
    run_samples,
)
from device_runners.edge_tpu.mapping import CUSTOM_OP, read_mapping
from pipeline.comparison import reference_outputs
from pipeline.dataset import (
    Dataset,
    DatasetKind,
    InputSpec,
    Sample,
    check_dataset,
    graph_inputs,
    load_dataset,
    quantized_inputs,
)
from pipeline.device_report import DeviceReport
from pipeline.fixed_input import SEED, fixed_samples
from pipeline.listener import Listener
from pipeline.settings import DatasetSettings
from pipeline.stages import evaluate as evaluation

DEFAULT_SAMPLES = 16
"""Samples that run when nothing is said: the reference kernels take seconds each on a big model."""

_FIXED_SAMPLES = 4


@dataclass(frozen=True)
class DeviceResult:
    """How a run on a device ended.

    Attributes:
        report: What it found out.
        error: What the command line should end with: a difference above the one allowed.
    """

    report: DeviceReport
    error: TidepoolError | None


@dataclass(frozen=True, eq=False)
class _Models:
    """The file that runs, and the one that the reference interpreter runs, when there is one."""

    runs: Path
    graph: Graph
    host: Path | None


@dataclass(frozen=True, eq=False)
class _Inputs:
    """The samples that run: ready for the model and, where they are data, as they were given."""

    source: str
    arrays: list[list[Array]]
    samples: list[Sample]
    dataset: Dataset | None


def run_model(
    model: Path,
    options: DeviceOptions,
    listener: Listener,
    *,
    inputs: DatasetSettings | None = None,
    samples: int | None = DEFAULT_SAMPLES,
    host_model: Path | None = None,
    max_difference: float | None = None,
) -> DeviceResult:
    """Runs a compiled model on a device and compares it with the reference.

    Args:
        model: The compiled model; with the device ``cpu`` the one before compilation will do.
        options: Where and how it runs.
        listener: Hears of the progress and of warnings.
        inputs: The data; without a source reproducible noise.
        samples: At most so many samples run; None for all.
        host_model: The model before compilation, which the reference interpreter runs; None for
            the one beside the compiled model.
        max_difference: The largest difference from the reference that is no error, in LSB.

    Raises:
        TidepoolError: The files or the data don't fit, or the device can't run the model.
    """
    options.check()
    warnings: list[str] = []
    models = _find_models(model, host_model, options.device)
    ready = _load_inputs(models.graph, inputs or DatasetSettings(), samples, listener, warnings)
    where = "this machine's CPU" if options.device == CPU else "the Edge TPU"
    with listener.stage(f"running {models.runs.name} on {where} ({len(ready.arrays)} samples)"):
        found = run_samples(models.runs, ready.arrays, options)
    report = _report(model, models, options, ready, found)
    expected = _reference(models, ready, listener, warnings)
    if expected is not None:
        report.compared_with = str(models.host)
        report.differences = _differences(models.graph, found.outputs, expected)
        _score(report, models.graph, ready, expected, found.outputs, warnings)
    elif max_difference is not None:
        raise TidepoolError(
            f"{model} can't be compared with the reference: {warnings[-1]}",
            hint="give the model before compilation with --host-model",
        )
    for text in warnings:
        listener.warn(text)
    report.warnings = warnings
    return DeviceResult(report, _excess(report, max_difference))


def _find_models(model: Path, host_model: Path | None, device: str) -> _Models:
    graph = read_graph(model)
    compiled = _is_compiled(graph)
    host = host_model
    if host is None:
        host = before_compilation(model) if compiled else model
        if not host.is_file():
            if device == CPU:
                raise TidepoolError(
                    f"{model} is compiled for the Edge TPU and can't run on a CPU, and there is "
                    f"no {host}",
                    hint="name the model that it was compiled from with --host-model",
                )
            return _Models(model, graph, None)
    host_graph = graph if host == model else read_graph(host)
    if _is_compiled(host_graph):
        raise TidepoolError(
            f"{host} is compiled for the Edge TPU: no CPU runs it",
            hint="give the full-integer model that was compiled, X_int8.tflite",
        )
    if compiled:
        _check_pair(model, graph, host, host_graph)
    elif device != CPU:
        raise TidepoolError(
            f"{model} is not compiled for the Edge TPU",
            hint=f"compile it: tidepool deploy {model} --target edge-tpu; or run it on the CPU: "
            "--device cpu",
        )
    return _Models(host, host_graph, host) if device == CPU else _Models(model, graph, host)


def _is_compiled(graph: Graph) -> bool:
    return any(op.custom_code == CUSTOM_OP for op in graph.operators)


def _check_pair(model: Path, graph: Graph, host: Path, host_graph: Graph) -> None:
    """Refuses a host model that the compiled one wasn't made of."""
    hint = "name the model that it was compiled from with --host-model"
    message = f"{host} is not the model that {model} was compiled from"
    for kind, ours, theirs in (
        ("input", graph.input_tensors, host_graph.input_tensors),
        ("output", graph.output_tensors, host_graph.output_tensors),
    ):
        if len(ours) != len(theirs):
            raise TidepoolError(f"{message}: {len(theirs)} {kind}s, not {len(ours)}", hint=hint)
        for mine, other in zip(ours, theirs, strict=True):
            if _signature(mine) != _signature(other):
                raise TidepoolError(f"{message}: its {kind} '{other.name}' differs", hint=hint)
    try:
        read_mapping(host_graph, graph)
    except TidepoolError as error:
        raise TidepoolError(f"{message}: {error.message}", hint=hint) from error


def _signature(tensor: Tensor) -> tuple[object, ...]:
    return tensor.shape, tensor.type, tensor.quantization


def _load_inputs(
    graph: Graph,
    settings: DatasetSettings,
    count: int | None,
    listener: Listener,
    warnings: list[str],
) -> _Inputs:
    if settings.source is None:
        number = min(count or _FIXED_SAMPLES, _FIXED_SAMPLES)
        return _Inputs(f"noise from the fixed seed {SEED:#x}", _noise(graph, number), [], None)
    for tensor in graph.input_tensors:
        if tensor.shape[:1] != (1,):
            raise TidepoolError(
                f"the model's input '{tensor.name}' has the shape {list(tensor.shape)}, whose "
                "batch is not 1",
                hint="fix the batch at 1 before converting; without --inputs noise runs",
            )
    specs = tuple(
        spec if _is_quantized(tensor) else InputSpec(spec.name, spec.shape)
        for spec, tensor in zip(graph_inputs(graph), graph.input_tensors, strict=True)
    )
    with listener.stage(f"checking dataset {settings.source}"):
        dataset = load_dataset(
            settings.source,
            specs,
            seed=settings.seed,
            image_range=settings.image_range,
            calibrate=False,
        )
        if dataset.test is None:
            raise TidepoolError(
                f"dataset {settings.source} has no test samples",
                hint="define test() in the recipe, or x or x_test in the .npz",
            )
        # Calibration is over: only what is tested matters.
        for warning in check_dataset(replace(dataset, calibration=None), specs).warnings:
            warnings.append(f"{warning.message}: {warning.hint}")
    samples = list(dataset.test if count is None else dataset.test.take(count))
    arrays = [_ready(sample, graph) for sample in samples]
    return _Inputs(settings.source, arrays, samples, dataset)


def _is_quantized(tensor: Tensor) -> bool:
    return tensor.type is not TensorType.FLOAT32


def _ready(sample: Sample, graph: Graph) -> list[Array]:
    """A sample in the shapes and dtypes of the inputs; a float input takes it as it is."""
    arrays = [
        array if _is_quantized(tensor) else array.astype(np.float32)
        for array, tensor in zip(sample.inputs, graph.input_tensors, strict=True)
    ]
    return quantized_inputs(arrays, graph)


def _noise(graph: Graph, count: int) -> list[list[Array]]:
    """The fixed samples; bytes that would be floats are taken as numbers from 0 to 1 instead."""
    generator = np.random.default_rng(SEED)
    return [
        [
            array
            if _is_quantized(tensor)
            else generator.random(tensor.shape).astype(tensor.type.dtype)
            for array, tensor in zip(sample, graph.input_tensors, strict=True)
        ]
        for sample in fixed_samples(graph, count)
    ]


def _reference(
    models: _Models, ready: _Inputs, listener: Listener, warnings: list[str]
) -> list[list[Array]] | None:
    """The reference's outputs; None when there is no model that it can run."""
    if models.host is None:
        expected = before_compilation(models.runs)
        warnings.append(f"there is no {expected}: the outputs are not compared with a reference")
        return None
    title = f"computing the reference (LiteRT, BUILTIN_REF) of {len(ready.arrays)} samples"
    try:
        with listener.stage(title) as progress:
            return reference_outputs(models.host.read_bytes(), ready.arrays, progress)
    except TidepoolError as error:
        # A custom op of the model's own, such as a decoder, is in the device's runtime only.
        warnings.append(f"the outputs are not compared with a reference: {error.message}")
        return None


def _differences(
    graph: Graph, found: Sequence[Sequence[Array]], expected: Sequence[Sequence[Array]]
) -> list[Difference]:
    columns = zip(
        graph.output_tensors, zip(*found, strict=True), zip(*expected, strict=True), strict=True
    )
    return [
        difference(tensor, np.stack(ours), np.stack(theirs)) for tensor, ours, theirs in columns
    ]


def _score(
    report: DeviceReport,
    graph: Graph,
    ready: _Inputs,
    expected: Sequence[Sequence[Array]],
    found: Sequence[Sequence[Array]],
    warnings: list[str],
) -> None:
    """The metric of the samples that ran, where the dataset has one for this model."""
    if ready.dataset is None or ready.dataset.kind is DatasetKind.RANDOM:
        return
    try:
        metric = evaluation.metric_of(ready.dataset, graph)
        if metric is None:
            return
        report.host_value = evaluation.score_outputs(metric, graph, ready.samples, expected)
        report.device_value = evaluation.score_outputs(metric, graph, ready.samples, found)
        report.metric = metric.name
    except TidepoolError as error:
        # A model whose tail runs on the host has other outputs than the labels are for.
        warnings.append(f"no metric: {error.message}")


def _report(
    model: Path, models: _Models, options: DeviceOptions, ready: _Inputs, found: DeviceRun
) -> DeviceReport:
    return DeviceReport(
        model=str(model),
        ran=str(models.runs),
        on_edge_tpu=options.device != CPU,
        device=options.device,
        interpreter=found.interpreter,
        versions=list(found.versions),
        runtime=found.runtime,
        notes=list(found.notes),
        warnings=[],
        inputs=ready.source,
        samples=len(ready.arrays),
        first_ms=found.first_ms,
        latency_ms=found.latency,
        clock=found.clock,
    )


def _excess(report: DeviceReport, limit: float | None) -> TidepoolError | None:
    if limit is None:
        return None
    worst = max(report.differences, key=lambda entry: entry.max)
    if worst.max <= limit:
        return None
    return TidepoolError(
        f"the output '{worst.output}' of {report.model} differs from the reference by up to "
        f"{worst.max:g} {worst.unit}, more than the {limit:g} allowed",
        hint="every device rounds on its own: see what the metric says, or allow more with "
        "--max-difference",
        exit_code=ExitCode.MISMATCH,
    )

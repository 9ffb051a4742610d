"""Full-integer models to compiled ones: one model, its segments, or several that share a memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from converters.tflite.reader import read_graph
from device_runners.edge_tpu import CompilerOptions, Driver, build, build_together
from device_runners.edge_tpu.preflight import Preflight, preflight
from device_runners.edge_tpu.verdict import Verdict, compare_figures
from device_runners.runner import Int8Model
from pipeline.listener import Listener
from pipeline.settings import EdgeTpuSettings, Settings
from pipeline.source import converted_file, resolve

_PART_FIGURES = ("file", "bytes", "cached_bytes", "streamed_bytes", "min_runtime_version")


@dataclass(frozen=True)
class CompiledFile:
    """One compiled file. Sizes are in bytes.

    Attributes:
        file: Its name.
        bytes: Its size.
        cached_bytes: Parameters that stay in the Edge TPU's memory.
        streamed_bytes: Parameters that are sent for every inference.
        min_runtime_version: The oldest runtime that takes it; None when nothing was mapped.
    """

    file: str
    bytes: int
    cached_bytes: int
    streamed_bytes: int
    min_runtime_version: int | None


@dataclass(frozen=True)
class CompiledSummary:
    """One model.

    Attributes:
        name: Its name.
        tpu_operations: Operators on the Edge TPU.
        cpu_operations: Operators on the CPU.
        predicted_tpu_operations: What the prediction said.
        files: Its compiled files: one, or its segments in order.
        differences: Where the compiler decided otherwise than predicted.
    """

    name: str
    tpu_operations: int
    cpu_operations: int
    predicted_tpu_operations: int
    files: tuple[CompiledFile, ...]
    differences: Verdict


@dataclass(frozen=True)
class CompileSummary:
    """What came of compiling.

    Attributes:
        directory: Where everything is.
        compiler_version: The compiler's version.
        models: In the order given, which is the order of their right to the parameter memory.
        parameter_caching_token: The token that co-compiled models share; None for one model, or
            when nothing is cached.
        not_cached: Co-compiled models that got no room in the parameter memory.
        intermediate_tensors: Where a search for a part that compiles ended.
        attempts: How often the compiler was called.
        warnings: What the compiler warned of.
    """

    directory: str
    compiler_version: str
    models: tuple[CompiledSummary, ...]
    parameter_caching_token: str | None
    not_cached: tuple[str, ...]
    intermediate_tensors: tuple[str, ...]
    attempts: int
    warnings: tuple[str, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Labels and values for a table of two columns, without markup."""
        rows = [("compiler", f"version {self.compiler_version}, {_times(self.attempts)}")]
        for model in self.models:
            rows += _model_rows(model, named=len(self.models) > 1)
        if len(self.models) > 1:
            rows.append(("caching token", self.parameter_caching_token or "none"))
        rows += [("no room in the memory", name) for name in self.not_cached]
        rows += [("the Edge TPU's part ends at", name) for name in self.intermediate_tensors]
        rows += [("the compiler warns", text) for text in self.warnings]
        rows.append(("results", self.directory))
        return rows

    def to_json(self) -> str:
        """The attributes as JSON, with those of the models and files in them."""
        return json.dumps(asdict(self), indent=2)


def driver_of(settings: EdgeTpuSettings, listener: Listener) -> Driver:
    """How the settings say that the compiler is called."""
    options = CompilerOptions(
        min_runtime_version=settings.min_runtime_version,
        timeout_sec=settings.timeout_sec,
        num_segments=settings.num_segments,
        search_delegate=settings.search_delegate,
        delegate_search_step=settings.delegate_search_step,
        intermediate_tensors=settings.intermediate_tensors or (),
        enable_multiple_subgraphs=settings.enable_multiple_subgraphs,
    )
    return Driver(
        options,
        container=settings.container,
        retries=settings.retries,
        time_limit=settings.timeout_seconds,
        note=listener.note,
    )


def compile_models(paths: Sequence[Path], settings: Settings, listener: Listener) -> CompileSummary:
    """Compiles full-integer models for the Edge TPU, several of them together.

    Results go to ``<name>/edge_tpu/`` of the build folder; for several models the folder is named
    after them all.

    Args:
        paths: ``.tflite`` files, or models that were converted before; of several the first one
            has the first right to the parameter memory.
        settings: ``edge_tpu`` and ``build_directory`` are used.
        listener: Hears of the stages, the predictions and the compiler's attempts.

    Raises:
        TidepoolError: There is no model, one can't be read or compiled, or the compiler is
            missing (what can be had without it is written).
    """
    if not paths:
        raise TidepoolError("there is no model to compile", hint="give one or more .tflite files")
    sources = [resolve(path) for path in paths]
    models = [
        _read(source.name, converted_file(source, settings.build_directory)) for source in sources
    ]
    out = settings.build_directory / "-".join(model.name for model in models) / "edge_tpu"
    predictions = [_predict(model, listener) for model in models]
    driver = driver_of(settings.edge_tpu, listener)
    count = f"{len(models)} models together" if len(models) > 1 else models[0].name
    with listener.stage(f"compiling {count} for the Edge TPU"):
        if len(models) == 1:
            figures = build(models[0], out, driver).figures
            each = [figures]
        else:
            figures = build_together(models, out, driver).figures
            each = figures["models"]
    return CompileSummary(
        directory=str(out),
        compiler_version=figures["compiler_version"],
        models=tuple(map(_summary, models, predictions, each)),
        parameter_caching_token=figures.get("parameter_caching_token"),
        not_cached=tuple(figures.get("not_cached", ())),
        intermediate_tensors=tuple(
            name
            for search in figures["delegate_searches"]
            for name in search["intermediate_tensors"]
        ),
        attempts=len(figures["attempts"]),
        warnings=tuple(figures["compiler_warnings"]),
    )


def _read(name: str, file: Path) -> Int8Model:
    graph = read_graph(file)
    return Int8Model(name, file.read_bytes(), graph)


def _predict(model: Int8Model, listener: Listener) -> Preflight:
    prediction = preflight(model.graph)
    for finding in (*prediction.refused, *prediction.warnings):
        listener.warn(f"{model.name}: {finding.message}: {finding.hint}")
    return prediction


def _summary(model: Int8Model, prediction: Preflight, figures: dict[str, Any]) -> CompiledSummary:
    return CompiledSummary(
        name=model.name,
        tpu_operations=figures["tpu_operations"],
        cpu_operations=figures["cpu_operations"],
        predicted_tpu_operations=prediction.mapped_ops,
        files=tuple(
            CompiledFile(**{key: part[key] for key in _PART_FIGURES}) for part in figures["parts"]
        ),
        differences=compare_figures(model.graph, prediction, figures),
    )


def _model_rows(model: CompiledSummary, *, named: bool) -> list[tuple[str, str]]:
    label = f"{model.name}: " if named else ""
    rows = [
        (
            f"{label}operators",
            f"{model.tpu_operations} on the Edge TPU ({model.predicted_tpu_operations} predicted), "
            f"{model.cpu_operations} on the CPU",
        )
    ]
    rows += [
        (
            f"{label}{file.file}",
            f"{file.bytes:,} bytes; parameters {file.cached_bytes:,} cached, "
            f"{file.streamed_bytes:,} streamed",
        )
        for file in model.files
    ]
    rows += [
        (
            f"{label}predicted otherwise",
            f"operator {each.index} {each.op}: predicted '{each.predicted}', the compiler says "
            f"'{each.compiler}'",
        )
        for each in model.differences.operators
    ]
    return rows


def _times(count: int) -> str:
    return "called once" if count == 1 else f"called {count} times"

"""What a compilation made of a model: its compiled files, the operators, the parameter memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping as Files
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from converters.errors import TidepoolError
from converters.tflite.graph import Graph
from converters.tflite.reader import read_graph
from device_runners.edge_tpu.compiler_options import OLD_RUNTIMES, CompilerOptions
from device_runners.edge_tpu.driver import Compilation
from device_runners.edge_tpu.log import (
    CompileReport,
    parse_report,
    parse_reports,
    total_report,
)
from device_runners.edge_tpu.mapping import CUSTOM_OP, Mapping, read_mapping
from device_runners.edge_tpu.package import Package, read_package
from device_runners.edge_tpu.segments import check_chain, segment_names
from device_runners.runner import Int8Model


@dataclass(frozen=True)
class Part:
    """One compiled file: a model, or a segment of one.

    Attributes:
        file: Its name.
        content: Its content.
        graph: Its graph.
        report: What the compiler says of it.
        package: What it holds for the Edge TPU; None when nothing was mapped.
    """

    file: str
    content: bytes
    graph: Graph
    report: CompileReport
    package: Package | None

    def figures(self) -> dict[str, Any]:
        """Its figures; sizes in bytes, None where there is nothing for the Edge TPU."""
        package = self.package
        return {
            "file": self.file,
            "bytes": len(self.content),
            "cached_bytes": package.cached_bytes if package else 0,
            "streamed_bytes": package.streamed_bytes if package else 0,
            "min_runtime_version": package.min_runtime_version if package else None,
            "parameter_caching_tokens": [
                f"0x{token:016x}" for token in (package.parameter_caching_tokens if package else ())
            ],
            "compile_report": dataclasses.asdict(self.report),
        }


@dataclass(frozen=True)
class CompiledModel:
    """A model and what was made of it.

    Attributes:
        model: The model.
        parts: Its compiled files: one, or its segments in order.
        mapping: Which of its operators the compiler moved to the Edge TPU.
    """

    model: Int8Model
    parts: tuple[Part, ...]
    mapping: Mapping

    def figures(self) -> dict[str, Any]:
        """Its figures, for the report of a run; the keys are those of ``runner.build``."""
        report = total_report([part.report for part in self.parts])
        graph = self.model.graph
        return {
            "compiler_version": report.version,
            "tpu_operations": len(self.mapping.tpu),
            "cpu_operations": len(self.mapping.cpu),
            "subgraphs": self.mapping.subgraphs,
            "cpu_operators": [
                {
                    "operator": index,
                    "opcode": graph.operators[index].display_name,
                    "output": graph.outputs_of(graph.operators[index])[0].name
                    if graph.operators[index].outputs
                    else "",
                }
                for index in self.mapping.cpu
            ],
            "compile_report": dataclasses.asdict(report),
            "parts": [part.figures() for part in self.parts],
        }


def read_compiled(
    model: Int8Model, compilation: Compilation, options: CompilerOptions
) -> CompiledModel:
    """Reads what a successful compilation made of one of its models.

    Raises:
        TidepoolError: Nothing was mapped, or the files are damaged, don't belong to the model, or
            don't chain.
    """
    reports = parse_reports(compilation.output)
    parts = tuple(
        _part(name, compilation.files, reports)
        for name in segment_names(model.name, options.num_segments)
    )
    graphs = [part.graph for part in parts]
    mapping = read_mapping(model.graph, *graphs)
    if not mapping.tpu:
        raise _nothing_mapped(model, total_report([part.report for part in parts]), options)
    if len(graphs) > 1:
        check_chain(model.graph, graphs)
    return CompiledModel(model, parts, mapping)


def call_figures(compilation: Compilation) -> dict[str, Any]:
    """How the compiler was called: its attempts, its searches, its warnings."""
    return {
        "attempts": [
            {
                "arguments": each.arguments,
                "seconds": round(each.seconds, 3),
                "failure": each.failure,
            }
            for each in compilation.attempts
        ],
        "delegate_searches": [
            dataclasses.asdict(search)
            | {"intermediate_tensors": search.found.intermediate_tensors if search.found else ()}
            for search in compilation.searches
        ],
        "compiler_warnings": compilation.warnings,
    }


def _part(name: str, files: Files[str, bytes], reports: Sequence[CompileReport]) -> Part:
    file = f"{name}_edgetpu.tflite"
    content = files[file]
    graph = read_graph(content)
    has_package = any(op.custom_code == CUSTOM_OP for op in graph.operators)
    log = files.get(f"{name}_edgetpu.log", b"").decode(errors="replace")
    return Part(
        file,
        content,
        graph,
        _report(file, log, reports),
        read_package(content) if has_package else None,
    )


def _report(file: str, log: str, reports: Sequence[CompileReport]) -> CompileReport:
    """The report on a file: by its name, else the only one there is."""
    named = [r for r in reports if PurePosixPath(r.output_model).name == file]
    report = named[0] if named else reports[0]
    if not named and len(reports) > 1:
        # Several reports, and none on this file: only the version is sure.
        report = parse_report(f"Edge TPU Compiler version {reports[0].version}")
    if not report.operators and log.strip():
        table = _table_of(log)
        report = dataclasses.replace(report, operators=table.operators) if table else report
    return report


def _table_of(log: str) -> CompileReport | None:
    try:
        return parse_report(log)
    except TidepoolError:
        return None  # the log is extra: what the compiler printed counts


def _nothing_mapped(
    model: Int8Model, report: CompileReport, options: CompilerOptions
) -> TidepoolError:
    reasons = "; ".join(f"{row.count} {row.opcode}: {row.status}" for row in report.unmapped)
    hint = "replace the first operators by ops that the Edge TPU supports, with 8-bit inputs"
    if options.min_runtime_version in OLD_RUNTIMES:
        hint = (
            f"min_runtime_version = {options.min_runtime_version} leaves int8 models on the CPU: "
            f"leave it out, or give {OLD_RUNTIMES[-1] + 1} or newer"
        )
    return TidepoolError(
        f"nothing of {model.name} was mapped to the Edge TPU: all {len(model.graph.operators)} "
        "operators would run on the CPU" + (f" ({reasons})" if reasons else ""),
        hint=hint,
    )

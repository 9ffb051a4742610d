"""The Edge TPU: check a graph for it, and build the model that its runtime loads."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from converters.files import staged_directory, write_atomic
from converters.tflite.graph import Array, Graph
from converters.tflite.reader import read_graph
from device_runners.edge_tpu.checks import CONSTRAINTS
from device_runners.edge_tpu.compiler import (
    DEFAULT_TIME_LIMIT,
    CompilerRun,
    find_compiler,
    report_of,
    run_compiler,
)
from device_runners.edge_tpu.log import CompileReport
from device_runners.edge_tpu.mapping import Mapping, read_mapping
from device_runners.edge_tpu.standalone import RUN_ON_DEVICE
from device_runners.runner import Artifacts, Finding, Findings, Int8Model


def check(graph: Graph) -> Findings:
    """Says what stands in the way of compiling a graph, and what will stay on the CPU."""
    findings: list[Finding] = []
    for constraint in CONSTRAINTS:
        findings.extend(constraint(graph))
    return Findings(tuple(findings))


def build(model: Int8Model, out: Path, *, time_limit: float = DEFAULT_TIME_LIMIT) -> Artifacts:
    """Compiles a full-integer model for the Edge TPU.

    Writes ``<name>_int8.tflite`` (the compiler's input), ``<name>_edgetpu.tflite`` and
    ``<name>_edgetpu.log`` (its outputs) and ``<name>_edgetpu_compiler.txt`` (what it printed).
    ``run_on_device.py`` runs either of the models on a board that has only its own interpreter.
    When compiling fails, what there is by then is written all the same.

    Args:
        model: The model.
        out: The folder to write; what it held before is replaced.
        time_limit: Seconds that the compiler may take.

    Returns:
        Figures: ``compiler_version``, ``tpu_operations``, ``cpu_operations`` and ``subgraphs``
        (counted in the compiled file), ``cpu_operators`` (index, opcode and output of each) and
        ``compile_report`` (the fields of ``CompileReport``).

    Raises:
        TidepoolError: The graph can't be compiled; the compiler is missing (exit code
            COMPILER_MISSING) or failed; or nothing was mapped to the Edge TPU.
    """
    graph, name = model.graph, model.name
    check(graph).raise_if_blocking()
    files: dict[str, bytes | str] = {
        f"{name}_int8.tflite": model.content,
        RUN_ON_DEVICE.name: RUN_ON_DEVICE.read_bytes(),
    }
    figures: dict[str, Any] = {}
    error: TidepoolError | None = None
    try:
        run = run_compiler(find_compiler(), model.content, name, time_limit=time_limit)
        files |= _outputs(run, name)
        report = report_of(run)
        assert run.model is not None
        mapping = read_mapping(graph, read_graph(run.model))
        if not mapping.tpu:
            raise _nothing_mapped(graph, report)
        files[f"{name}_edgetpu.tflite"] = run.model
        figures = _figures(graph, report, mapping)
    except TidepoolError as caught:
        # The model is ready for another attempt elsewhere: keep it, then say what failed.
        error = caught
    with staged_directory(out) as staging:
        for file, content in files.items():
            write_atomic(staging / file, content)
    if error is not None:
        raise TidepoolError(
            f"{error.message}; the full-integer model is kept: {out / f'{name}_int8.tflite'}",
            hint=error.hint,
            exit_code=error.exit_code,
        ) from error
    return Artifacts(out, tuple(sorted(files)), figures)


def run(artifacts: Artifacts, inputs: Sequence[Array]) -> list[Array]:
    """Would run one inference on an Edge TPU: raises, since this version only builds for it."""
    raise TidepoolError(
        f"running {artifacts.directory.name} on an Edge TPU is not available in this version",
        hint="load the _edgetpu.tflite file on the device, with the delegate of Coral's runtime",
    )


def _outputs(run: CompilerRun, name: str) -> dict[str, bytes | str]:
    files: dict[str, bytes | str] = {f"{name}_edgetpu_compiler.txt": run.output}
    if run.log is not None:
        files[f"{name}_edgetpu.log"] = run.log
    return files


def _nothing_mapped(graph: Graph, report: CompileReport) -> TidepoolError:
    reasons = "; ".join(f"{row.count} {row.opcode}: {row.status}" for row in report.unmapped)
    count = len(graph.operators)
    return TidepoolError(
        f"nothing was mapped to the Edge TPU: all {count} operators would run on the CPU"
        + (f" ({reasons})" if reasons else ""),
        hint="replace the first operators by ops that the Edge TPU supports, with 8-bit inputs",
    )


def _figures(graph: Graph, report: CompileReport, mapping: Mapping) -> dict[str, Any]:
    on_cpu = [graph.operators[index] for index in mapping.cpu]
    return {
        "compiler_version": report.version,
        "tpu_operations": len(mapping.tpu),
        "cpu_operations": len(mapping.cpu),
        "subgraphs": mapping.subgraphs,
        "cpu_operators": [
            {
                "operator": op.index,
                "opcode": op.display_name,
                "output": graph.outputs_of(op)[0].name if op.outputs else "",
            }
            for op in on_cpu
        ],
        "compile_report": dataclasses.asdict(report),
    }

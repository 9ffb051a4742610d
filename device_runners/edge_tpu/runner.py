"""The Edge TPU: check a graph for it, and build the model that its runtime loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from converters.errors import TidepoolError
from converters.files import staged_directory, write_atomic
from converters.tflite.graph import Array, Graph
from device_runners.edge_tpu.checks import CONSTRAINTS
from device_runners.edge_tpu.device import run_artifacts
from device_runners.edge_tpu.driver import Compilation, Driver
from device_runners.edge_tpu.results import call_figures, read_compiled
from device_runners.edge_tpu.segments import segment_names
from device_runners.edge_tpu.standalone import RUN_ON_DEVICE
from device_runners.runner import Artifacts, Finding, Findings, Int8Model

_DEFAULT_DRIVER = Driver()
_NOTHING: Mapping[str, bytes | str] = MappingProxyType({})


def check(graph: Graph) -> Findings:
    """Says what stands in the way of compiling a graph, and what will stay on the CPU."""
    findings: list[Finding] = []
    for constraint in CONSTRAINTS:
        findings.extend(constraint(graph))
    return Findings(tuple(findings))


def build(
    model: Int8Model,
    out: Path,
    driver: Driver = _DEFAULT_DRIVER,
    *,
    beside: Mapping[str, bytes | str] = _NOTHING,
) -> Artifacts:
    """Compiles a full-integer model for the Edge TPU.

    Writes ``<name>_int8.tflite`` (the compiler's input), ``<name>_edgetpu.tflite`` and
    ``<name>_edgetpu.log`` (its outputs) and ``<name>_edgetpu_compiler.txt`` (what it printed). Of a
    model in segments there are ``<name>_segment_<i>_of_<n>_edgetpu.tflite`` and its log for each.
    ``run_on_device.py`` runs a model on a board that has only its own interpreter. When compiling
    fails, what there is by then is written all the same.

    Args:
        model: The model.
        out: The folder to write; what it held before is replaced.
        driver: How the compiler is found and called.
        beside: Other files for the folder: name -> content.

    Returns:
        Figures: ``compiler_version``; ``tpu_operations``, ``cpu_operations`` and ``subgraphs``,
        counted in the compiled files; ``cpu_operators`` (index, opcode and output of each);
        ``compile_report`` (the fields of ``CompileReport``; of segments, the sum); ``parts`` (for
        each compiled file its bytes, its cached and streamed parameter bytes, runtime version,
        caching tokens and report); ``attempts``, ``delegate_searches`` and ``compiler_warnings``.

    Raises:
        TidepoolError: The graph can't be compiled, or not with these options; the compiler is
            missing (exit code COMPILER_MISSING) or failed; or nothing was mapped to the Edge TPU.
    """
    check(model.graph).raise_if_blocking()
    driver.options.check([model])
    names = segment_names(model.name, driver.options.num_segments)
    compilation = driver.compile([model], [f"{name}_edgetpu.tflite" for name in names])
    files = {**beside, **input_files([model]), **output_files(compilation, names, model.name)}
    figures: dict[str, Any] = {}
    error = compilation.error
    if error is None:
        try:
            compiled = read_compiled(model, compilation, driver.options)
            files |= {part.file: part.content for part in compiled.parts}
            figures = compiled.figures() | call_figures(compilation)
        except TidepoolError as caught:
            error = caught
    write_build(out, files, error, kept=f"{model.name}_int8.tflite")
    return Artifacts(out, tuple(sorted(files)), figures)


def run(artifacts: Artifacts, inputs: Sequence[Array]) -> list[Array]:
    """Runs one inference on an attached Edge TPU.

    Args:
        artifacts: What ``build`` returned.
        inputs: For each input an array in its shape and integer dtype.

    Raises:
        TidepoolError: There is no one compiled model in it, no device, or no runtime that fits.
    """
    return run_artifacts(artifacts, inputs)


def input_files(models: Sequence[Int8Model]) -> dict[str, bytes | str]:
    """What a build writes whatever the compiler does."""
    files: dict[str, bytes | str] = {RUN_ON_DEVICE.name: RUN_ON_DEVICE.read_bytes()}
    return files | {f"{model.name}_int8.tflite": model.content for model in models}


def output_files(
    compilation: Compilation, names: Sequence[str], title: str
) -> dict[str, bytes | str]:
    """What the compiler said and wrote beside the compiled models.

    Args:
        compilation: What came of it.
        names: The compiled files' names without suffix; of a segment, the uncompiled one is kept.
        title: What the file with the compiler's words is named after.
    """
    files: dict[str, bytes | str] = {}
    if compilation.attempts:
        files[f"{title}_edgetpu_compiler.txt"] = compilation.transcript
    for name in names:
        for extra in (f"{name}_edgetpu.log", f"{name}.tflite"):
            if extra in compilation.files:
                files[extra] = compilation.files[extra]
    return files


def write_build(
    out: Path, files: dict[str, bytes | str], error: TidepoolError | None, *, kept: str
) -> None:
    """Writes a build's folder, then raises what it failed with, if it did.

    The models are ready for another attempt elsewhere: they are kept in any case.
    """
    with staged_directory(out) as staging:
        for file, content in files.items():
            write_atomic(staging / file, content)
    if error is not None:
        raise TidepoolError(
            f"{error.message}; the full-integer model is kept: {out / kept}",
            hint=error.hint,
            exit_code=error.exit_code,
        ) from error

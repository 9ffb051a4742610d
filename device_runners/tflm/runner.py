"""TensorFlow Lite Micro: check a graph for it, build its sources, run them on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from converters.files import staged_directory, write_atomic
from converters.tflite.graph import Array, Graph
from converters.tflite.reader import read_graph
from device_runners.host.micro import run_micro
from device_runners.runner import Artifacts, Finding, Findings, Int8Model
from device_runners.tflm.arena import MeasuredArena, estimate_arena
from device_runners.tflm.checks import CONSTRAINTS
from device_runners.tflm.ops import registrations
from device_runners.tflm.sources import model_from_source, settings, settings_file, sources

_MODEL_DATA = "_model_data.cc"


def check(graph: Graph) -> Findings:
    """Says what TFLM lacks for a graph: all of it at once."""
    findings: list[Finding] = []
    for constraint in CONSTRAINTS:
        findings.extend(constraint(graph))
    return Findings(tuple(findings))


def build(model: Int8Model, out: Path) -> Artifacts:
    """Writes ``<name>_model_data.h/.cc``, ``<name>_settings.h`` and ``<name>_op_resolver.h``.

    The model runs once in TFLM's own interpreter on this machine, with its inputs at their zero
    points, which measures the arena and proves that TFLM accepts it.

    Args:
        model: The model; its file's content becomes the array byte for byte.
        out: The folder to write; what it held before is replaced.

    Returns:
        Figures: ``arena_bytes_host`` (measured, 64-bit), ``tensor_arena_bytes``
        (``kTensorArenaSize``: an estimate from above, which ``set_arena`` replaces by a measured
        size), ``model_bytes``, ``ops`` (the op resolver's size).

    Raises:
        TidepoolError: TFLM can't run the model.
    """
    graph = model.graph
    check(graph).raise_if_blocking()
    zero = [_at_zero_point(graph, index) for index in graph.inputs]
    measured = run_micro(model.content, graph, [zero]).arena_bytes
    arena = estimate_arena(graph, measured)
    files = sources(model, arena)
    with staged_directory(out) as staging:
        for file, content in files.items():
            write_atomic(staging / file, content)
    figures = {
        "arena_bytes_host": measured,
        "tensor_arena_bytes": arena.total,
        "model_bytes": len(model.content),
        "ops": len(registrations(graph)),
    }
    return Artifacts(out, tuple(sorted(files)), figures)


def set_arena(model: Int8Model, out: Path, arena: MeasuredArena) -> Path:
    """Writes a measured arena's size into the settings that ``build`` left in a folder.

    Returns:
        The file ``<name>_settings.h``, which is written whole or not at all.
    """
    return write_atomic(out / settings_file(model.name), settings(model, arena))


def run(artifacts: Artifacts, inputs: Sequence[Array]) -> list[Array]:
    """Runs one inference of the model in the built C array, in TFLM on this machine.

    Args:
        artifacts: What ``build`` returned.
        inputs: One array an input, in its own shape and dtype.

    Returns:
        One array an output.
    """
    (file,) = (file for file in artifacts.files if file.endswith(_MODEL_DATA))
    model = model_from_source((artifacts.directory / file).read_text())
    return run_micro(model, read_graph(model), [inputs]).outputs[0]


def _at_zero_point(graph: Graph, index: int) -> Array:
    tensor = graph.tensor(index)
    value = tensor.zero_point if tensor.quantization is not None else 0
    return np.full(tensor.shape, value, tensor.type.dtype)

"""Compares generated code, run on this machine, with the reference, tensor by tensor."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from support.models import int8_model

from converters.tflite import write_graph
from converters.tflite.graph import Graph
from device_runners.cgen import HostBuild, Isa, Optimize, build
from device_runners.host.oracle import Oracle
from device_runners.runner import Artifacts

ALL_INT8 = np.arange(-128, 128).astype(np.int8)
# Memory that the plan holds for dead is overwritten: who reads it all the same, differs.
SANITIZED = (
    "-O0",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-DTIDEPOOL_FILL_DEAD",
)
_OBJECTS = Path(tempfile.gettempdir()) / "tidepool-test-objects"


def object_cache() -> Path:
    """Compiled kernels, kept between tests; their names say what they were made of."""
    _OBJECTS.mkdir(exist_ok=True)
    return _OBJECTS


@cache
def _links(compiler: str, flags: tuple[str, ...]) -> bool:
    """Whether a compiler is there, with the libraries that the flags want (sanitizers')."""
    if shutil.which(compiler) is None:
        return False
    command = [compiler, *flags, "-x", "c", "-", "-o", "/dev/null"]
    program = b"int main(void) { return 0; }"
    return subprocess.run(command, input=program, capture_output=True, check=False).returncode == 0


def assert_every_tensor_equals_reference(
    graph: Graph,
    samples: Sequence[Sequence[np.ndarray]],
    folder: Path,
    *,
    model: bytes | None = None,
    flags: Sequence[str] = SANITIZED,
    compiler: str = "cc",
    isa: Isa = Isa.SCALAR,
    optimize: Optimize = Optimize.BALANCED,
) -> Artifacts:
    """Builds a graph, runs samples, and compares every computed tensor with BUILTIN_REF.

    Skips the test where the compiler is not installed.
    """
    if not _links(compiler, tuple(flags)):
        pytest.skip(f"{compiler} {' '.join(flags)} is not installed")
    artifacts = build(int8_model(graph), folder / "aot", isa, optimize)
    oracle = Oracle(model or write_graph(graph), all_tensors=True)
    with HostBuild(artifacts, compiler=compiler, flags=flags, object_cache=object_cache()) as host:
        runs = host.run_many_traced(samples)
    computed = {*graph.inputs, *(index for op in graph.operators for index in op.outputs)}
    for number, (sample, run) in enumerate(zip(samples, runs, strict=True)):
        outputs = oracle.run(sample)
        assert set(run.tensors) == computed
        for index, value in run.tensors.items():
            expected = oracle.tensor(index)
            producer = graph.producer(index)
            np.testing.assert_array_equal(
                value,
                expected,
                err_msg=f"sample {number}, tensor {index}, "
                f"operator {producer and (producer.index, producer.opcode, producer.options)}",
            )
        for position, expected in enumerate(outputs):
            np.testing.assert_array_equal(run.outputs[position], expected)
    return artifacts

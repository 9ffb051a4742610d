"""The real TensorFlow Lite Micro interpreter, built for this machine (the tflite-micro wheel).

TFLM reports its arena and its errors on the C-level standard error stream, and it may crash where
an allocation fails. Both are why it runs in a child process.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Array, Graph

_ARENA_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")
_ARENA_TOO_SMALL = re.compile(r"Failed to (resize buffer|allocate)|[Uu]nable to allocate")
_PYTHON_NOISE = re.compile(r"^(Traceback |  |Error: )|^\w*(Error|Exception): ")
# The largest arena that is worth a try: past it the machine swaps before TFLM is content.
_LARGEST_ARENA = 1 << 31


@dataclass(frozen=True)
class MicroResult:
    """Results of TFLM on this machine.

    Attributes:
        outputs: For each sample, one array an output.
        arena_bytes: What the interpreter and its reference kernels used of their arena. Pointers
            are 64-bit here, so the same kernels need less on a board; other kernels (CMSIS-NN) may
            ask for scratch buffers that these do without.
    """

    outputs: list[list[Array]]
    arena_bytes: int


def run_micro(model: bytes, graph: Graph, samples: Iterable[Sequence[Array]]) -> MicroResult:
    """Runs samples through TFLM's reference kernels.

    Args:
        model: The TFLite file's content.
        graph: Its graph, for the number of inputs and outputs.
        samples: For each sample, one array an input in its own shape and dtype. None at all is
            fine: TFLM then only plans its arena.

    Raises:
        TidepoolError: TFLM refuses the model (an op it lacks, a hybrid model), in its own words;
            or a sample doesn't have the inputs' shapes and dtypes.
    """
    with tempfile.TemporaryDirectory(prefix="tidepool_micro_") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(model)
        _write_samples(folder / "inputs.npy", graph, samples)
        arena = _first_arena(model, graph)
        while True:
            process = _run_child(folder, graph, arena)
            if process.returncode == 0:
                break
            if not _ARENA_TOO_SMALL.search(process.stderr) or arena >= _LARGEST_ARENA:
                raise _refusal(process)
            arena = min(arena * 4, _LARGEST_ARENA)
        report = _ARENA_TOTAL.search(process.stderr)
        if report is None:
            raise TidepoolError(
                "TFLM ran the model but printed no arena report",
                hint="install the tested tflite-micro: see constraints.txt",
            )
        outputs = _read_outputs(folder / "outputs.npy", len(graph.outputs))
        return MicroResult(outputs, int(report.group(1)))


def _first_arena(model: bytes, graph: Graph) -> int:
    # All activations alive at once, plus what TFLM keeps per operator and tensor, is more than
    # any plan takes; only scratch buffers can exceed it.
    activations = sum(tensor.bytes + 64 for tensor in graph.tensors if not tensor.is_constant)
    size = 2 * activations + 512 * len(graph.tensors) + len(model) + (1 << 16)
    # TFLM counts the bytes that align the arena's end as used: a multiple of its alignment has
    # none, and the figure is the same on every run.
    return size + -size % 16


def _run_child(folder: Path, graph: Graph, arena: int) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}
    command = [sys.executable, "-m", "device_runners.host.micro_child"]
    command += ["model.tflite", "inputs.npy", "outputs.npy"]
    command += [str(len(graph.inputs)), str(len(graph.outputs)), str(arena)]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def _write_samples(path: Path, graph: Graph, samples: Iterable[Sequence[Array]]) -> None:
    expected = graph.input_tensors
    with path.open("wb") as file:
        for number, sample in enumerate(samples):
            if len(sample) != len(expected):
                raise TidepoolError(
                    f"sample {number} has {len(sample)} arrays, but the model has "
                    f"{len(expected)} inputs",
                    hint="give one array for each input of the model",
                )
            for tensor, array in zip(expected, sample, strict=True):
                if array.shape != tensor.shape or array.dtype != tensor.type.dtype:
                    raise TidepoolError(
                        f"sample {number} is {array.dtype} {list(array.shape)}, but the input "
                        f"'{tensor.name}' is {tensor.type.dtype} {list(tensor.shape)}",
                        hint="give the samples in the input's own shape and dtype",
                    )
                np.save(file, array, allow_pickle=False)


def _read_outputs(path: Path, count: int) -> list[list[Array]]:
    outputs: list[list[Array]] = []
    with path.open("rb") as file:
        end = path.stat().st_size
        while file.tell() < end:
            outputs.append([np.load(file, allow_pickle=False) for _ in range(count)])
    return outputs


def _refusal(process: subprocess.CompletedProcess[str]) -> TidepoolError:
    """An error with TFLM's own message, or with how its process ended if it said nothing."""
    if "No module named 'tflite_micro'" in process.stderr:
        return TidepoolError(
            "the TFLM interpreter for this machine is not installed",
            hint="install the Python package 'tflite-micro' (a dependency of tidepool)",
        )
    lines = [line for line in process.stderr.splitlines() if line.strip()]
    said = [line.strip() for line in lines if not _PYTHON_NOISE.match(line)]
    if process.returncode < 0:
        said.append(f"killed by {signal.Signals(-process.returncode).name}")
    elif not said:
        said = [lines[-1].strip() if lines else f"ended with code {process.returncode}"]
    message = "; ".join(said)
    return TidepoolError(
        f"TensorFlow Lite Micro refuses the model: {message}",
        hint="TFLM runs full-integer int8 models: 'tidepool check MODEL' names what it can't run",
    )

"""Runs a compiled model on an Edge TPU that is attached to this machine.

The stand-alone script does it, in processes of its own: a libedgetpu that doesn't fit the
interpreter crashes the process that loads it, and the interpreter may belong to another Python
(Google's pycoral ends at Python 3.9).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.errors import ExitCode, TidepoolError
from converters.tflite.graph import Array, Tensor
from device_runners.edge_tpu.standalone import RUN_ON_DEVICE
from device_runners.edge_tpu.standalone import run_on_device as script
from device_runners.runner import Artifacts

CPU = "cpu"
"""The device that is none: the model before compilation, on this machine's CPU."""

_ERROR = re.compile(r"^error: (?P<message>.*)\nhint: (?P<hint>.*)\Z", re.DOTALL | re.MULTILINE)
# The script ends by itself at its time limit; this is for the one that can't.
_GRACE_SECONDS = 30


@dataclass(frozen=True)
class DeviceOptions:
    """Where and how a model runs.

    Attributes:
        device: ``auto`` (any Edge TPU), ``usb``, ``pci``, ``:N``, ``usb:N``, ``pci:N``, or ``cpu``.
        delegate_options: ``NAME=VALUE`` for libedgetpu, which takes them for a device with an
            index only: ``Performance``, ``Usb.AlwaysDfu``, ``Usb.MaxBulkInQueueLength``.
        library: The file of libedgetpu; empty for the one that ``EDGETPU_LIBRARY`` names, or the
            standard name.
        python: The Python whose interpreter and NumPy are used; None for the running one.
        runs: Inferences that are timed.
        warmup: Inferences after the samples' that are not timed.
        time_limit: Seconds for all of it.
    """

    device: str = "auto"
    delegate_options: tuple[str, ...] = ()
    library: str = ""
    python: Path | None = None
    runs: int = 100
    warmup: int = 10
    time_limit: float = 600

    def check(self) -> None:
        """Refuses wrong values.

        Raises:
            TidepoolError: It names the option; the exit code is USAGE.
        """
        trouble = script.usage_trouble(self.device, self.delegate_options, self.runs, self.warmup)
        if trouble:
            raise TidepoolError(trouble, hint="see 'tidepool run --help'", exit_code=ExitCode.USAGE)

    @property
    def arguments(self) -> list[str]:
        """The stand-alone script's options."""
        arguments = ["--device", self.device, "--timeout", str(self.time_limit)]
        arguments += ["--runs", str(self.runs), "--warmup", str(self.warmup)]
        for option in self.delegate_options:
            arguments += ["--option", option]
        return arguments + (["--library", self.library] if self.library else [])


@dataclass(frozen=True)
class Latency:
    """Milliseconds of an inference after warm-up; ``p50`` is the median."""

    runs: int
    warmup: int
    min: float
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True)
class Difference:
    """How far a device's output is from the expected one, over all samples.

    Attributes:
        output: Name of the output tensor.
        unit: ``LSB``, one step of the quantized integers; ``value`` for an output that isn't.
        max: Largest absolute difference.
        mean: Mean absolute difference.
        equal: Share of the elements that are equal.
        same_argmax: Share of the samples (of an image's pixels) with the same argmax along the
            last axis; None for indices, and where that axis has one element.
    """

    output: str
    unit: str
    max: float
    mean: float
    equal: float
    same_argmax: float | None


@dataclass(frozen=True, eq=False)
class DeviceRun:
    """What a device computed, and how fast.

    Attributes:
        outputs: For each sample one array an output, in the output's shape and dtype.
        interpreter: The module that the interpreter came from.
        versions: What took part, with versions.
        runtime: What libedgetpu says it is; None without it.
        notes: Remarks, such as an installed pycoral that isn't Google's.
        first_ms: Milliseconds of the first inference, which also sends the parameters.
        latency: Of the inferences after warm-up.
        clock: What measured them.
    """

    outputs: list[list[Array]]
    interpreter: str
    versions: tuple[str, ...]
    runtime: str | None
    notes: tuple[str, ...]
    first_ms: float
    latency: Latency
    clock: str


def run_samples(
    model: Path, samples: Sequence[Sequence[Array]], options: DeviceOptions
) -> DeviceRun:
    """Runs samples on a device.

    Args:
        model: The compiled model; with the device ``cpu`` the one before compilation.
        samples: For each sample one array an input, in the input's shape and dtype; one or more.
        options: Where and how.

    Raises:
        TidepoolError: There is no device, or this user may not use it; libedgetpu, the
            interpreter, NumPy and the model don't fit together; or the run failed.
    """
    options.check()
    with tempfile.TemporaryDirectory(prefix="tidepool_device_") as temporary:
        folder = Path(temporary)
        inputs = [folder / f"input_{index}.npy" for index in range(len(samples[0]))]
        for index, file in enumerate(inputs):
            np.save(file, np.stack([sample[index] for sample in samples]))
        outputs = folder / "outputs.npz"
        report = _run_script(
            [str(model), "--inputs", *map(str, inputs), "--outputs", str(outputs)], options
        )
        with np.load(outputs, allow_pickle=False) as stacked:
            columns = [stacked[f"output_{index}"] for index in range(len(stacked))]
    return DeviceRun(
        outputs=[list(row) for row in zip(*columns, strict=True)],
        interpreter=report["interpreter"],
        versions=tuple(report["versions"]),
        runtime=report["runtime"],
        notes=tuple(report["notes"]),
        first_ms=report["first_ms"],
        latency=Latency(**report["latency_ms"]),
        clock=report["clock"],
    )


def run_artifacts(artifacts: Artifacts, inputs: Sequence[Array]) -> list[Array]:
    """Runs one inference of a build's compiled model on any Edge TPU: a runner's third verb.

    Args:
        artifacts: What ``build`` left behind.
        inputs: One array an input, in the input's shape and dtype.

    Raises:
        TidepoolError: The build has no compiled model, or several; or as ``run_samples``.
    """
    compiled = [file for file in artifacts.files if file.endswith("_edgetpu.tflite")]
    if len(compiled) != 1:
        raise TidepoolError(
            f"{artifacts.directory} holds {len(compiled) or 'no'} compiled models, not one",
            hint="run one of them: tidepool run X_edgetpu.tflite",
        )
    once = DeviceOptions(runs=1, warmup=0)
    return run_samples(artifacts.directory / compiled[0], [inputs], once).outputs[0]


def before_compilation(compiled: Path) -> Path:
    """The model that a compiled one was made of.

    Returns:
        ``X_int8.tflite`` or ``X.tflite`` beside ``X_edgetpu.tflite``, the first that is there;
        where neither is, the path that the first would have.
    """
    return script.before_compilation(compiled)


def difference(tensor: Tensor, found: Array, expected: Array) -> Difference:
    """Compares an output with the expected one.

    Args:
        tensor: The output.
        found: What the device computed, with the samples along the first axis.
        expected: What it should have, in the same shape and dtype.

    Raises:
        TidepoolError: There are values that are not finite.
    """
    try:
        figures = script.difference(
            tensor.name, found, expected, quantized=tensor.quantization is not None
        )
    except script.RunError as error:
        raise TidepoolError(str(error), hint=error.hint) from error
    return Difference(**figures)


def _run_script(arguments: Sequence[str], options: DeviceOptions) -> dict[str, Any]:
    """Runs the stand-alone script and returns its report."""
    python = shutil.which(str(options.python or sys.executable))
    if python is None:
        raise TidepoolError(
            f"{options.python} is not an executable Python",
            hint="name one that has NumPy and an interpreter, such as /usr/bin/python3",
        )
    command = [python, str(RUN_ON_DEVICE), *arguments, *options.arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=options.time_limit + _GRACE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TidepoolError(
            f"{python} can't run {RUN_ON_DEVICE.name}: {error}",
            hint="check the Python, and the device",
        ) from error
    refused = _ERROR.search(done.stderr.strip())
    if refused is not None:
        raise TidepoolError(refused["message"], hint=refused["hint"])
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise TidepoolError(
            f"{python} can't run {RUN_ON_DEVICE.name}: {said}",
            hint="it needs Python 3.7 or later with NumPy",
        ) from None
    return report

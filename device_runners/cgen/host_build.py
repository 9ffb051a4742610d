"""Generated sources, compiled and run on this machine."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from converters.errors import TidepoolError
from converters.files import write_atomic
from converters.tflite.graph import Array, TensorType
from device_runners.cgen.program import DroppedPad, RemovedChannels
from device_runners.cgen.sources import render
from device_runners.runner import Artifacts

WARNING_FLAGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
SANITIZER_FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
_TIMEOUT_SECONDS = 300
_INCLUDE = re.compile(rb'^#include "(tidepool_\w+\.h)"', re.MULTILINE)


@dataclass(frozen=True)
class TracedRun:
    """One inference: tensor index -> value, and the outputs in order."""

    tensors: dict[int, Array]
    outputs: list[Array]


class HostBuild:
    """An executable of generated sources for this machine; a context manager that cleans up.

    >>> with HostBuild(artifacts, flags=SANITIZER_FLAGS) as host:  # doctest: +SKIP
    ...     outputs = host.run([image])
    ...     tensors = host.run_traced([image])

    Args:
        artifacts: What ``build`` returned.
        compiler: The C compiler.
        flags: Flags in addition to ``-std=c11`` and the warnings, which are errors.
        object_cache: A folder for compiled kernels: they are the same for every model.

    Raises:
        TidepoolError: There is no such compiler, or it refuses the sources.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        *,
        compiler: str = "cc",
        flags: Sequence[str] = ("-O2",),
        object_cache: Path | None = None,
    ) -> None:
        if shutil.which(compiler) is None:
            raise TidepoolError(
                f"the C compiler '{compiler}' is not installed",
                hint="install gcc or clang, or name another compiler",
            )
        self._artifacts = artifacts
        self._name: str = artifacts.figures["model"]
        self._command = [compiler, "-std=c11", *WARNING_FLAGS, *flags]
        self._folder = Path(tempfile.mkdtemp(prefix="tidepool-host-"))
        self._cache = object_cache or self._folder
        self._executables: dict[bool, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Deletes the executable."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference: arrays of the inputs' types and shapes in, the outputs out."""
        return self.run_many([inputs])[0]

    def run_many(
        self, samples: Iterable[Sequence[Array]], *, keep_state: bool = False
    ) -> list[list[Array]]:
        """One inference a sample, in one process and one arena.

        Args:
            samples: For each sample an array for every input.
            keep_state: The samples are one sequence; else each starts from the reset state.
        """
        raw, count = self._execute(samples, trace=False, keep_state=keep_state)
        stream = _Stream(raw)
        return [self._outputs(stream) for _ in range(count)]

    def run_traced(self, inputs: Sequence[Array]) -> dict[int, Array]:
        """One inference: tensor index in the model's file -> value, for every computed tensor."""
        return self.run_many_traced([inputs])[0].tensors

    def run_many_traced(
        self, samples: Iterable[Sequence[Array]], *, keep_state: bool = False
    ) -> list[TracedRun]:
        """One inference a sample, every tensor of each; see ``run_many``."""
        raw, count = self._execute(samples, trace=True, keep_state=keep_state)
        stream = _Stream(raw)
        ports = {t["index"]: t for t in self._artifacts.figures["tensors"]}
        # Inputs are traced once each, then every layer's output.
        inputs = {port["index"] for port in self._artifacts.figures["inputs"]}
        layers = self._artifacts.figures["layers"]
        records = len(inputs) + sum(len(layer["outputs"]) for layer in layers)
        runs = []
        for _ in range(count):
            tensors: dict[int, Array] = {}
            for _ in range(records):
                index, size = struct.unpack("=II", stream.take(8))
                tensors[index] = _restored(stream.take(size), ports[index])
            for folded in self._artifacts.figures["folded"]:
                values = np.array(folded["values"], TensorType(folded["type"]).dtype)
                tensors[folded["index"]] = values.reshape(folded["shape"])
            for dropped in reversed(self._artifacts.figures["dropped"]):
                pad = DroppedPad(dropped["source"], dropped["paddings"], dropped["value"])
                tensors[dropped["index"]] = pad.restore(tensors[pad.source])
            runs.append(TracedRun(tensors, self._outputs(stream)))
        return runs

    def _outputs(self, stream: _Stream) -> list[Array]:
        ports = self._artifacts.figures["outputs"]
        return [_array(stream.take(port["bytes"]), port) for port in ports]

    def _execute(
        self, samples: Iterable[Sequence[Array]], *, trace: bool, keep_state: bool
    ) -> tuple[bytes, int]:
        encoded = [self._encode(sample) for sample in samples]
        executable = self._executable(trace)
        try:
            result = subprocess.run(
                [str(executable), *(["keep-state"] if keep_state else [])],
                input=b"".join(encoded),
                capture_output=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TidepoolError(
                f"{self._name} on the host took more than {_TIMEOUT_SECONDS} s"
            ) from error
        if result.returncode != 0:
            raise TidepoolError(
                f"{self._name} on the host ended with code {result.returncode}: "
                f"{result.stderr.decode(errors='replace')[-4000:]}"
            )
        return result.stdout, len(encoded)

    def _encode(self, sample: Sequence[Array]) -> bytes:
        ports: list[dict[str, Any]] = self._artifacts.figures["inputs"]
        if len(sample) != len(ports):
            raise TidepoolError(
                f"{self._name} has {len(ports)} inputs, but {len(sample)} are given"
            )
        for position, (array, port) in enumerate(zip(sample, ports, strict=True)):
            dtype = TensorType(port["type"]).dtype
            if array.dtype != dtype or list(array.shape) != port["shape"]:
                raise TidepoolError(
                    f"input {position} of {self._name} is {dtype} {port['shape']}, but "
                    f"{array.dtype} {list(array.shape)} is given",
                    hint="quantize the input with the scale and zero point of the model's input",
                )
        return b"".join(np.ascontiguousarray(array).tobytes() for array in sample)

    def _executable(self, trace: bool) -> Path:
        if trace not in self._executables:
            self._executables[trace] = self._link(trace)
        return self._executables[trace]

    def _link(self, trace: bool) -> Path:
        ports = self._artifacts.figures
        main = write_atomic(
            self._folder / "host_main.c",
            render(
                "host_main.c.j2",
                model=self._name,
                M=self._name.upper(),
                inputs=ports["inputs"],
                outputs=ports["outputs"],
                states=ports["states"],
            ),
        )
        executable = self._folder / ("traced" if trace else "plain")
        folder = self._artifacts.directory
        kernels = [
            self._kernel_object(folder / name)
            for name in self._artifacts.files
            if name.startswith("tidepool_") and name.endswith(".c")
        ]
        self._compile(
            *(["-DTIDEPOOL_TRACE"] if trace else []),
            f"-I{folder}",
            str(folder / f"{self._name}.c"),
            str(main),
            *map(str, kernels),
            "-o",
            str(executable),
        )
        return executable

    def _kernel_object(self, source: Path) -> Path:
        """The compiled kernel, under a name that says what it was made of."""
        content = b"\0".join([*_with_headers(source), "\0".join(self._command).encode()])
        target = self._cache / f"{source.stem}-{hashlib.sha256(content).hexdigest()[:16]}.o"
        if not target.exists():
            handle, name = tempfile.mkstemp(dir=self._cache, suffix=".o")
            os.close(handle)
            temporary = Path(name)
            self._compile("-c", str(source), "-o", str(temporary))
            temporary.replace(target)
        return target

    def _compile(self, *arguments: str) -> None:
        result = subprocess.run(
            [*self._command, *arguments], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise TidepoolError(
                f"{self._command[0]} refuses the sources of {self._name}:\n{result.stderr[-4000:]}",
                hint="this is a defect of the code generator: please report it with the model",
            )


def _with_headers(source: Path) -> list[bytes]:
    """A source's text and that of the headers beside it that it includes, directly or not."""
    texts, waiting = {}, [source.name]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = (source.parent / name).read_bytes()
            waiting += [header.decode() for header in _INCLUDE.findall(texts[name])]
    return [texts[name] for name in sorted(texts)]


class _Stream:
    """Bytes that are taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise TidepoolError("the host executable wrote less than expected")
        part = self._data[self._position : end]
        self._position = end
        return part


def _restored(data: bytes, port: Mapping[str, Any]) -> Array:
    """A traced tensor with the channels that the code leaves out, as the file has it."""
    removed, kept = port["removed"], _array(data, port)
    if removed is None:
        return kept
    channels = RemovedChannels(
        tuple(removed["shape"]), np.array(removed["kept"]), np.array(removed["values"], np.int8)
    )
    return channels.restore(kept)


def _array(data: bytes, port: Mapping[str, Any]) -> Array:
    return np.frombuffer(data, TensorType(port["type"]).dtype).reshape(port["shape"])

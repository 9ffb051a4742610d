"""Finds and calls ``edgetpu_compiler``, which is closed source and never shipped with tidepool.

The first of these is taken: the executable that ``EDGETPU_COMPILER`` names, the container image
that the settings name, the executable on PATH. One that is named but doesn't work is an error;
the next one is not tried.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from converters.errors import ExitCode, TidepoolError
from device_runners.edge_tpu.compiler_options import CompilerOptions
from device_runners.edge_tpu.container import find_container
from device_runners.edge_tpu.log import parse_version
from device_runners.edge_tpu.process import Call, run_limited
from device_runners.runner import Int8Model

COMPILER_VARIABLE = "EDGETPU_COMPILER"
"""Environment variable that names the compiler's executable."""

_VERSION_SECONDS = 60
_INSTALL = (
    "install the package edgetpu-compiler from Coral's apt repository (x86-64 Linux only; see "
    f"Coral's documentation), set {COMPILER_VARIABLE}=/path/to/edgetpu_compiler, or name a "
    "container image that has it (edge_tpu.container); then run again"
)


class Compiler(Protocol):
    """Where the compiler is, and how it is called there."""

    @property
    def description(self) -> str:
        """What it is, for messages."""

    def call(self, arguments: Sequence[str], folder: Path) -> Call:
        """The program that compiles files of a folder; paths are relative to the folder."""

    def start_failure(self, returncode: int | None, output: str) -> TidepoolError | None:
        """Why the compiler wasn't even started; None when it was."""


@dataclass(frozen=True)
class LocalCompiler:
    """The compiler as an executable of this machine.

    Attributes:
        path: The executable.
    """

    path: Path

    @property
    def description(self) -> str:
        return str(self.path)

    def call(self, arguments: Sequence[str], folder: Path) -> Call:
        return Call((str(self.path), *arguments))

    def start_failure(self, returncode: int | None, output: str) -> TidepoolError | None:
        return None


@dataclass(frozen=True)
class CompilerRun:
    """One call of the compiler, whatever came of it.

    Attributes:
        arguments: Its arguments, model files included.
        output: All that it printed.
        returncode: Its exit code, negative for a signal; None when it ran into the time limit.
        time_limit: That limit, in seconds.
        seconds: How long it took.
        files: Name and content of the files that it wrote.
    """

    arguments: tuple[str, ...]
    output: str
    returncode: int | None
    time_limit: float
    seconds: float = 0.0
    files: dict[str, bytes] = field(default_factory=dict)


def find_compiler(container: str | None = None) -> Compiler:
    """The compiler, from the first of the places that this module's docstring lists.

    Args:
        container: The image that the settings name.

    Raises:
        TidepoolError: There is none, with the exit code COMPILER_MISSING.
    """
    named = os.environ.get(COMPILER_VARIABLE)
    if named:
        path = shutil.which(named)
        if path is None:
            raise _missing(f"{COMPILER_VARIABLE} names {named}, which is not an executable file")
        return LocalCompiler(Path(path).absolute())
    if container:
        return find_container(container)
    path = shutil.which("edgetpu_compiler")
    if path is None:
        machine = f"{platform.system()} {platform.machine()}"
        elsewhere = "" if machine == "Linux x86_64" else f", and it doesn't run on {machine}"
        raise _missing(f"the Edge TPU compiler (edgetpu_compiler) is not installed{elsewhere}")
    return LocalCompiler(Path(path).absolute())


def compiler_version(compiler: Compiler) -> str:
    """The version that the compiler states, for example ``16.0.384591198``.

    Raises:
        TidepoolError: It can't be started, or doesn't answer as the compiler does.
    """
    with _folder() as temporary:
        run = _call(compiler, ["--version"], Path(temporary), _VERSION_SECONDS)
    if run.returncode is None:
        raise TidepoolError(
            f"{compiler.description} didn't state its version within {_VERSION_SECONDS} seconds",
            hint=f"check {COMPILER_VARIABLE} and PATH",
        )
    return parse_version(run.output)


def run_compiler(
    compiler: Compiler,
    models: Sequence[Int8Model],
    options: CompilerOptions,
    *,
    search: bool,
    time_limit: float,
) -> CompilerRun:
    """Compiles one or several models, together, in a folder of their own.

    Args:
        compiler: The compiler.
        models: The models, in the order of their right to the parameter cache; the compiler
            names its files after them.
        options: Its options.
        search: Whether it searches for a part of the graph that compiles.
        time_limit: Seconds after which the compiler and all that it started are ended.

    Raises:
        TidepoolError: The compiler can't be started.
    """
    inputs = [f"{model.name}.tflite" for model in models]
    with _folder() as temporary:
        folder = Path(temporary)
        for name, model in zip(inputs, models, strict=True):
            (folder / name).write_bytes(model.content)
        return _call(compiler, [*options.arguments(search=search), *inputs], folder, time_limit)


def _call(
    compiler: Compiler, arguments: Sequence[str], folder: Path, time_limit: float
) -> CompilerRun:
    before = {path.name for path in folder.iterdir()}
    try:
        result = run_limited(compiler.call(arguments, folder), folder, time_limit)
    except OSError as error:
        raise TidepoolError(
            f"the Edge TPU compiler {compiler.description} can't be started: {error.strerror}",
            hint=f"it is an x86-64 Linux program; check {COMPILER_VARIABLE} and PATH",
        ) from error
    failure = compiler.start_failure(result.returncode, result.output)
    if failure is not None:
        raise failure
    return CompilerRun(
        tuple(arguments),
        result.output,
        result.returncode,
        time_limit,
        result.seconds,
        {
            path.name: path.read_bytes()
            for path in sorted(folder.iterdir())
            if path.is_file() and path.name not in before
        },
    )


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tidepool_edge_tpu_")


def _missing(message: str) -> TidepoolError:
    return TidepoolError(message, hint=_INSTALL, exit_code=ExitCode.COMPILER_MISSING)

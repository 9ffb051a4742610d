"""Finds and runs ``edgetpu_compiler``, which is closed source and never shipped with tidepool."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from converters.errors import ExitCode, TidepoolError
from device_runners.edge_tpu.failures import explain
from device_runners.edge_tpu.log import CompileReport, parse_report

COMPILER_VARIABLE = "EDGETPU_COMPILER"
"""Environment variable that names the compiler's executable."""

DEFAULT_TIME_LIMIT = 600
"""Seconds; the compiler's own limit, for one attempt at compiling, is 180."""

_INSTALL = (
    "install the package edgetpu-compiler from Coral's apt repository (x86-64 Linux only; see "
    f"Coral's documentation) or set {COMPILER_VARIABLE}=/path/to/edgetpu_compiler, then run again"
)


@dataclass(frozen=True)
class CompilerRun:
    """One run of the compiler on one model, whatever came of it.

    Attributes:
        output: All that it printed.
        returncode: Its exit code, negative for a signal; None when it ran into the time limit.
        time_limit: That limit, in seconds.
        model: The compiled model; None when there is none.
        log: Its log file; None when there is none.
    """

    output: str
    returncode: int | None
    time_limit: float
    model: bytes | None
    log: str | None


def find_compiler() -> Path:
    """The compiler's executable: the one that EDGETPU_COMPILER names, else the one on PATH.

    Raises:
        TidepoolError: There is none, with the exit code COMPILER_MISSING.
    """
    named = os.environ.get(COMPILER_VARIABLE)
    if named:
        path = shutil.which(named)
        if path is None:
            raise TidepoolError(
                f"{COMPILER_VARIABLE} names {named}, which is not an executable file",
                hint=_INSTALL,
                exit_code=ExitCode.COMPILER_MISSING,
            )
        return Path(path).absolute()
    path = shutil.which("edgetpu_compiler")
    if path is None:
        machine = f"{platform.system()} {platform.machine()}"
        elsewhere = "" if machine == "Linux x86_64" else f", and it doesn't run on {machine}"
        raise TidepoolError(
            f"the Edge TPU compiler (edgetpu_compiler) is not installed{elsewhere}",
            hint=_INSTALL,
            exit_code=ExitCode.COMPILER_MISSING,
        )
    return Path(path).absolute()


def compiler_version(compiler: Path) -> str:
    """The version that the compiler states, for example ``16.0.384591198``.

    Raises:
        TidepoolError: The executable doesn't answer as the compiler does.
    """
    output, returncode = _run([str(compiler), "--version"], Path.cwd(), time_limit=30)
    if returncode is None:
        raise _timed_out(30)
    return parse_report(output).version


def run_compiler(
    compiler: Path, model: bytes, name: str, *, time_limit: float = DEFAULT_TIME_LIMIT
) -> CompilerRun:
    """Compiles a model in a folder of its own.

    Args:
        compiler: The executable.
        model: The content of a full-integer TFLite file.
        name: The model's name; the compiler names its files after it.
        time_limit: Seconds after which the compiler and its children are ended.

    Raises:
        TidepoolError: The executable can't be started.
    """
    with tempfile.TemporaryDirectory(prefix="tidepool_edge_tpu_") as temporary:
        folder = Path(temporary)
        (folder / f"{name}.tflite").write_bytes(model)
        command = [str(compiler), "-s", "-o", str(folder), f"{name}.tflite"]
        output, returncode = _run(command, folder, time_limit)
        compiled, log = folder / f"{name}_edgetpu.tflite", folder / f"{name}_edgetpu.log"
        return CompilerRun(
            # The folder is gone by the time that anybody reads it.
            output=output.replace(f"{folder}/", ""),
            returncode=returncode,
            time_limit=time_limit,
            model=compiled.read_bytes() if compiled.is_file() else None,
            log=log.read_text(errors="replace") if log.is_file() else None,
        )


def report_of(run: CompilerRun) -> CompileReport:
    """The report of a run that compiled its model.

    Raises:
        TidepoolError: It didn't; the message says why and what to do.
    """
    if run.returncode is None:
        raise _timed_out(run.time_limit)
    if run.returncode != 0 or run.model is None:
        raise explain(run.output) or _unknown_failure(run)
    return parse_report(run.output)


def _run(command: list[str], folder: Path, time_limit: float) -> tuple[str, int | None]:
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # It compiles in a child process: all of its group has to end with it.
            start_new_session=True,
        )
    except OSError as error:
        raise TidepoolError(
            f"the Edge TPU compiler {command[0]} can't be started: {error.strerror}",
            hint=f"it is an x86-64 Linux program; check {COMPILER_VARIABLE} and PATH",
        ) from error
    with process:
        try:
            output, _ = process.communicate(timeout=time_limit)
            returncode: int | None = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            returncode = None
    return output.decode(errors="replace"), returncode


def _timed_out(time_limit: float) -> TidepoolError:
    return TidepoolError(
        f"the Edge TPU compiler didn't finish within {time_limit:g} seconds",
        hint="use a smaller input or fewer channels in the widest layers",
    )


def _unknown_failure(run: CompilerRun) -> TidepoolError:
    lines = [line.strip() for line in run.output.splitlines() if line.strip()]
    said = f"; its last words: '{lines[-1]}'" if lines else ""
    code = run.returncode or 0
    if code < 0:
        ended = f"was killed by {signal.Signals(-code).name}"
    elif code > 0:
        ended = f"ended with code {code}"
    else:
        ended = "ended without a compiled model"
    return TidepoolError(
        f"the Edge TPU compiler {ended}{said}",
        hint="run edgetpu_compiler by hand on the int8 model; it is kept",
    )

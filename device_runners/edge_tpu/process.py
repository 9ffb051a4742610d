"""Runs a program within a time limit, and ends it with everything that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_CLEANUP_SECONDS = 30


@dataclass(frozen=True)
class Call:
    """A program that is ready to be run.

    Attributes:
        command: The program and its arguments.
        cleanup: What ends that which would outlive the program's processes (a container); empty
            when nothing does.
    """

    command: tuple[str, ...]
    cleanup: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """What came of a program.

    Attributes:
        output: What it printed, standard output and standard error as they came.
        returncode: Its exit code: negative for a signal, None when it ran into the time limit.
        seconds: How long it ran.
    """

    output: str
    returncode: int | None
    seconds: float


def run_limited(call: Call, folder: Path, time_limit: float) -> Ended:
    """Runs a program in a folder.

    Args:
        call: The program.
        folder: Its working folder.
        time_limit: Seconds after which it is ended, with all of its process group.

    Raises:
        OSError: It can't be started.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        call.command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # The compiler compiles in a child process: all of the group has to end with it.
        start_new_session=True,
    )
    with process:
        try:
            output, _ = process.communicate(timeout=time_limit)
            returncode: int | None = process.returncode
        except subprocess.TimeoutExpired:
            _end(process, call.cleanup)
            output = _rest(process)
            returncode = None
        except BaseException:
            # Control-C doesn't reach a session of its own.
            _end(process, call.cleanup)
            raise
    seconds = time.monotonic() - started
    return Ended(output.decode(errors="replace"), returncode, seconds)


def _rest(process: subprocess.Popen[bytes]) -> bytes:
    """What the program printed; a process that left its group may still hold the pipe."""
    try:
        return process.communicate(timeout=_CLEANUP_SECONDS)[0]
    except subprocess.TimeoutExpired as error:
        return error.output or b""


def _end(process: subprocess.Popen[bytes], cleanup: tuple[str, ...]) -> None:
    if cleanup:
        # The time limit holds whatever the engine answers.
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                cleanup,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_CLEANUP_SECONDS,
                check=False,
            )
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)

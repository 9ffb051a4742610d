"""The Edge TPU compiler in a container image, run by docker or podman."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.errors import ExitCode, TidepoolError
from device_runners.edge_tpu.process import Call

ENGINES = ("docker", "podman")
"""The programs that run containers, in the order in which they are tried."""

_ENGINE_SECONDS = 60
_WORK = "/work"
# What an engine ends with when it failed itself, and when the program in the image can't be run.
_ENGINE_FAILED, _NOT_EXECUTABLE, _NOT_FOUND = 125, 126, 127


@dataclass(frozen=True)
class ContainerCompiler:
    """The compiler on the PATH of a container image.

    Attributes:
        engine: The executable of docker or podman.
        image: The image's name.
    """

    engine: Path
    image: str

    @property
    def description(self) -> str:
        return f"the image {self.image} ({self.engine.name})"

    def call(self, arguments: Sequence[str], folder: Path) -> Call:
        """Runs the compiler on files of a folder, which is all that it sees of this machine.

        It has no network, and writes as the user who calls it. Nothing is pulled.
        """
        name = f"tidepool-edgetpu-{uuid.uuid4().hex}"
        command = [str(self.engine), "run", "--rm", "--name", name, "--pull=never"]
        command += ["--network", "none", "--user", f"{os.getuid()}:{os.getgid()}"]
        if self.engine.name == "podman":
            # Rootless podman maps the user to root and other ids to nobody we know.
            command += ["--userns", "keep-id"]
        command += ["--volume", f"{folder}:{_WORK}:Z", "--workdir", _WORK]
        command += ["--entrypoint", "edgetpu_compiler", self.image, *arguments]
        return Call(tuple(command), (str(self.engine), "rm", "--force", name))

    def start_failure(self, returncode: int | None, output: str) -> TidepoolError | None:
        """Why the image didn't run the compiler; None when it did."""
        if returncode == _ENGINE_FAILED:
            return TidepoolError(
                f"{self.engine.name} can't run the image {self.image}: '{_telling_line(output)}'",
                hint=f"see that '{self.engine.name} run --rm {self.image}' works",
            )
        if returncode in (_NOT_EXECUTABLE, _NOT_FOUND):
            return _missing(
                f"the image {self.image} doesn't run edgetpu_compiler: '{_telling_line(output)}'",
                "the image needs edgetpu_compiler (an x86-64 Linux program) on its PATH",
            )
        return None


def find_container(image: str) -> ContainerCompiler:
    """The first engine that answers, with the image, which must be there.

    Raises:
        TidepoolError: There is no engine, none answers, or the image isn't there; with the exit
            code COMPILER_MISSING.
    """
    found = [Path(path) for path in map(shutil.which, ENGINES) if path is not None]
    if not found:
        raise _missing(
            f"the Edge TPU compiler is to run in the container image {image}, but neither "
            f"{' nor '.join(ENGINES)} is on PATH",
            "install one of them, or leave edge_tpu.container out and install edgetpu_compiler",
        )
    problem: TidepoolError | None = None
    for engine in found:
        code, _ = _ask(engine, ["image", "inspect", image])
        if code == 0:
            return ContainerCompiler(engine, image)
        code, said = _ask(engine, ["info"])
        if code == 0:
            problem = _missing(
                f"the container image {image} is not on this machine ({engine.name})",
                f"fetch or build it first, for example: {engine.name} pull {image}",
            )
            break
        problem = problem or _missing(
            f"{engine.name} is installed but doesn't answer: '{_telling_line(said)}'",
            f"start its service, and see that '{engine.name} info' works for this user",
        )
    assert problem is not None
    raise problem


def _ask(engine: Path, arguments: Sequence[str]) -> tuple[int, str]:
    try:
        result = subprocess.run(
            [str(engine), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_ENGINE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"no answer within {_ENGINE_SECONDS} seconds"
    except OSError as error:
        return 1, str(error.strerror)
    return result.returncode, result.stdout.decode(errors="replace")


def _telling_line(text: str) -> str:
    """The line that says what went wrong: engines end with advice on their options."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line or "annot" in line]
    return (telling or lines or ["it said nothing"])[-1]


def _missing(message: str, hint: str) -> TidepoolError:
    return TidepoolError(message, hint=hint, exit_code=ExitCode.COMPILER_MISSING)

"""Plays ``edgetpu_compiler`` and the engines that run containers, with recorded outcomes.

The compiler is closed source and seldom at hand, but what it prints and writes is known. As a
module this makes the stand-ins; as a script it is one: ``edgetpu_stand_in.py FOLDER ROLE
ARGUMENTS``, where FOLDER holds the plan of outcomes and the record of the calls.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

VERSION = "Edge TPU Compiler version 16.0.384591198"


@dataclass(frozen=True)
class Outcome:
    """What one call does.

    Attributes:
        output: What it prints; ``{stem}`` is the name of the first model without its suffix.
        compiled: The files that become its compiled models or segments, in order.
        logs: Its log files, likewise.
        code: Its exit code; negative for a signal that ends it.
        hang: Seconds that it waits, with a child process, before it ends.
    """

    output: str
    compiled: Sequence[Path] = ()
    logs: Sequence[str] = ()
    code: int = 0
    hang: float = 0


@dataclass(frozen=True)
class StandIn:
    """A stand-in and what it has recorded.

    Attributes:
        folder: Where its plan and its record are.
        executable: What to run.
    """

    folder: Path
    executable: Path

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of every call, without those that ask for the version."""
        record = self.folder / "calls.jsonl"
        return [json.loads(line) for line in record.read_text().splitlines()]

    @property
    def child(self) -> int:
        """The process that a hanging compiler has started."""
        return int((self.folder / "child").read_text())


def make_compiler(folder: Path, *outcomes: Outcome, version: str = VERSION) -> StandIn:
    """An ``edgetpu_compiler`` that does this, call by call; the last outcome is repeated."""
    folder.mkdir(parents=True)
    plan = [
        asdict(outcome) | {"compiled": [str(path) for path in outcome.compiled]}
        for outcome in outcomes
    ]
    (folder / "plan.json").write_text(json.dumps({"version": version, "outcomes": plan}))
    (folder / "calls.jsonl").touch()
    return StandIn(folder, _script(folder / "edgetpu_compiler", folder, "compiler"))


@dataclass
class Engine:
    """How an engine behaves.

    Attributes:
        images: The images that it has.
        running: Whether its service runs.
        compiler: The compiler's stand-in in its images; None when they don't have one.
    """

    images: list[str] = field(default_factory=list)
    running: bool = True
    compiler: StandIn | None = None


def make_engine(folder: Path, name: str, engine: Engine) -> StandIn:
    """A ``docker`` or ``podman``, in a folder for PATH."""
    state = folder / f"{name}_state"
    state.mkdir(parents=True)
    compiler = None if engine.compiler is None else str(engine.compiler.executable)
    plan = {"images": engine.images, "running": engine.running, "compiler": compiler}
    (state / "plan.json").write_text(json.dumps(plan))
    (state / "calls.jsonl").touch()
    return StandIn(state, _script(folder / name, state, "engine"))


def is_running(process: int) -> bool:
    """Whether a process still runs, after a moment in which it may end."""
    for _ in range(50):  # an orphan is reaped a moment after it died
        status = Path(f"/proc/{process}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return False
        time.sleep(0.05)
    return True


def _script(path: Path, folder: Path, role: str) -> Path:
    command = f'exec "{sys.executable}" -S -E "{__file__}" "{folder}" {role} "$@"'
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
    return path


def _record(folder: Path, arguments: Sequence[str]) -> int:
    """Records a call, and says how many there were before it."""
    record = folder / "calls.jsonl"
    before = len(record.read_text().splitlines())
    with record.open("a") as file:
        file.write(json.dumps(list(arguments)) + "\n")
    return before


def _play_compiler(folder: Path, arguments: Sequence[str]) -> int:
    plan = json.loads((folder / "plan.json").read_text())
    if list(arguments) == ["--version"]:
        print(plan["version"])
        return 0
    options = _compiler_options(arguments)
    outcomes = plan["outcomes"]
    outcome = outcomes[min(_record(folder, arguments), len(outcomes) - 1)]
    stems = [Path(model).stem for model in options.models]
    print(outcome["output"].replace("{stem}", stems[0]), end="", flush=True)
    if options.num_segments > 1:
        count = options.num_segments
        stems = [f"{stems[0]}_segment_{i}_of_{count}" for i in range(count)]
    for stem, source in zip(stems, outcome["compiled"], strict=False):
        shutil.copy(source, Path(options.out_dir) / f"{stem}_edgetpu.tflite")
    for stem, text in zip(stems, outcome["logs"], strict=False):
        (Path(options.out_dir) / f"{stem}_edgetpu.log").write_text(text)
    if outcome["hang"]:
        child = subprocess.Popen(["/bin/sleep", str(outcome["hang"])])
        (folder / "child").write_text(str(child.pid))
        child.wait()
    if outcome["code"] < 0:
        os.kill(os.getpid(), -outcome["code"])
        time.sleep(10)
    return int(outcome["code"])


def _compiler_options(arguments: Sequence[str]) -> Any:
    """The options of 16.0; anything else ends the program, as do models that aren't there."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-o", "--out_dir", default=".")
    parser.add_argument("-s", "--show_operations", action="store_true")
    parser.add_argument("-m", "--min_runtime_version", type=int, choices=range(10, 15))
    parser.add_argument("-t", "--timeout_sec", type=int, default=180)
    parser.add_argument("-n", "--num_segments", type=int, default=1)
    parser.add_argument("-d", "--search_delegate", action="store_true")
    parser.add_argument("-k", "--delegate_search_step", type=int, default=1)
    parser.add_argument("-i", "--intermediate_tensors", default="")
    parser.add_argument("-a", "--enable_multiple_subgraphs", action="store_true")
    parser.add_argument("models", nargs="+")
    options = parser.parse_args(arguments)
    for model in options.models:
        if not Path(model).is_file() or not Path(model).stat().st_size:
            print(f"{VERSION}\nError opening file for reading: {model}")
            sys.exit(1)
    return options


def _play_engine(folder: Path, arguments: Sequence[str]) -> int:
    plan = json.loads((folder / "plan.json").read_text())
    _record(folder, arguments)
    if not plan["running"]:
        print("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?")
        return 1
    if arguments[:2] == ["image", "inspect"]:
        return 0 if arguments[2] in plan["images"] else 1
    if arguments[0] == "rm":
        return _end_container(folder, arguments[-1])
    if arguments[0] == "run":
        return _run_container(folder, plan["compiler"], arguments[1:])
    return 0


def _run_container(folder: Path, compiler: str | None, arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("name", "network", "user", "userns", "volume", "workdir", "entrypoint", "pull"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--rm", action="store_true")
    parser.add_argument("image")
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if compiler is None:
        print(f'docker: Error response from daemon: exec: "{options.entrypoint}": not found\n')
        print("Run 'docker run --help' for more information")
        return 127
    # What runs in a container is no child of the engine's command line.
    process = subprocess.Popen(
        [compiler, *options.rest], cwd=options.volume.split(":")[0], start_new_session=True
    )
    (folder / options.name).write_text(str(process.pid))
    return process.wait()


def _end_container(folder: Path, name: str) -> int:
    os.killpg(int((folder / name).read_text()), signal.SIGKILL)
    return 0


if __name__ == "__main__":
    play = {"compiler": _play_compiler, "engine": _play_engine}[sys.argv[2]]
    sys.exit(play(Path(sys.argv[1]), sys.argv[3:]))

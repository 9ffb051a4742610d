"""Where the compiler comes from, a container image among the places, with stand-in engines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.edge_tpu_compiled import compiled, relu_chain
from support.edgetpu_outputs import START_16, SUCCESS_16
from support.edgetpu_stand_in import (
    Engine,
    Outcome,
    StandIn,
    is_running,
    make_compiler,
    make_engine,
)

from converters.errors import ExitCode, TidepoolError
from device_runners.edge_tpu import Driver, build
from device_runners.edge_tpu.compiler import (
    COMPILER_VARIABLE,
    LocalCompiler,
    compiler_version,
    find_compiler,
)
from device_runners.edge_tpu.container import ContainerCompiler
from device_runners.runner import Int8Model

IMAGE = "coral/compiler:16"
NET = Int8Model("net", b"the model", relu_chain("net"))

Engines = Callable[..., StandIn]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engines:
    """Makes engines; PATH has nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(COMPILER_VARIABLE, raising=False)
    return lambda name, behaviour: make_engine(folder, name, behaviour)


@pytest.fixture
def inside(tmp_path: Path) -> StandIn:
    """The compiler in the image."""
    (tmp_path / "net.compiled").write_bytes(compiled(NET.graph))
    return make_compiler(
        tmp_path / "inside", Outcome(SUCCESS_16, [tmp_path / "net.compiled"], ["the log"])
    )


def test_builds_in_a_container_without_network_as_the_user(
    tmp_path: Path, engine: Engines, inside: StandIn
) -> None:
    docker = engine("docker", Engine([IMAGE], compiler=inside))
    artifacts = build(NET, tmp_path / "out", Driver(container=IMAGE))
    assert artifacts.figures["tpu_operations"] == 4
    assert (tmp_path / "out" / "net_edgetpu.log").read_text() == "the log"
    inspect, run = docker.calls
    assert inspect == ["image", "inspect", IMAGE]
    assert run[:2] == ["run", "--rm"] and "--pull=never" in run
    assert run[run.index("--network") + 1] == "none"
    assert run[run.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    assert run[run.index("--entrypoint") + 1 :][:2] == ["edgetpu_compiler", IMAGE]
    assert run[-4:] == ["--show_operations", "--out_dir", ".", "net.tflite"]
    assert "--userns" not in run


def test_podman_keeps_the_users_id(engine: Engines, inside: StandIn) -> None:
    podman = engine("podman", Engine([IMAGE], compiler=inside))
    found = find_compiler(IMAGE)
    assert isinstance(found, ContainerCompiler) and found.engine.name == "podman"
    assert compiler_version(found) == "16.0.384591198"
    run = podman.calls[-1]
    assert run[run.index("--userns") + 1] == "keep-id"


def test_podman_takes_over_when_docker_does_not_run(engine: Engines, inside: StandIn) -> None:
    engine("docker", Engine([IMAGE], running=False))
    engine("podman", Engine([IMAGE], compiler=inside))
    assert isinstance(found := find_compiler(IMAGE), ContainerCompiler)
    assert found.engine.name == "podman"


@pytest.mark.usefixtures("engine")
def test_no_engine() -> None:
    with pytest.raises(TidepoolError, match="neither docker nor podman is on PATH") as error:
        find_compiler(IMAGE)
    assert error.value.exit_code is ExitCode.COMPILER_MISSING


def test_engine_that_does_not_run(engine: Engines) -> None:
    engine("docker", Engine([IMAGE], running=False))
    with pytest.raises(TidepoolError, match="docker is installed but doesn't answer") as error:
        find_compiler(IMAGE)
    assert "Cannot connect to the Docker daemon" in error.value.message
    assert "start its service" in error.value.hint
    assert error.value.exit_code is ExitCode.COMPILER_MISSING


def test_missing_image_is_not_pulled_but_the_command_is_named(engine: Engines) -> None:
    docker = engine("docker", Engine(["another"]))
    with pytest.raises(TidepoolError, match=f"{IMAGE} is not on this machine") as error:
        find_compiler(IMAGE)
    assert f"docker pull {IMAGE}" in error.value.hint
    assert error.value.exit_code is ExitCode.COMPILER_MISSING
    assert [call[0] for call in docker.calls] == ["image", "info"]


def test_image_without_the_compiler(tmp_path: Path, engine: Engines) -> None:
    engine("docker", Engine([IMAGE]))
    with pytest.raises(TidepoolError, match="doesn't run edgetpu_compiler") as error:
        build(NET, tmp_path / "out", Driver(container=IMAGE))
    assert 'exec: "edgetpu_compiler": not found' in error.value.message
    assert error.value.exit_code is ExitCode.COMPILER_MISSING
    assert (tmp_path / "out" / "net_int8.tflite").read_bytes() == b"the model"


def test_time_limit_ends_the_container_too(tmp_path: Path, engine: Engines) -> None:
    hanging = make_compiler(tmp_path / "inside", Outcome(START_16, hang=60))
    docker = engine("docker", Engine([IMAGE], compiler=hanging))
    started = time.monotonic()
    with pytest.raises(TidepoolError, match="didn't finish within 1 seconds"):
        build(NET, tmp_path / "out", Driver(container=IMAGE, time_limit=1))
    assert time.monotonic() - started < 15
    run, end = docker.calls[-2:]
    assert end == ["rm", "--force", run[run.index("--name") + 1]]
    assert not is_running(hanging.child)


def test_the_variable_wins_over_the_container_and_the_container_over_the_path(
    tmp_path: Path, engine: Engines, inside: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine("docker", Engine([IMAGE], compiler=inside))
    on_path = tmp_path / "bin" / "edgetpu_compiler"
    on_path.symlink_to(inside.executable)
    assert find_compiler() == LocalCompiler(on_path)
    assert isinstance(find_compiler(IMAGE), ContainerCompiler)
    monkeypatch.setenv(COMPILER_VARIABLE, str(inside.executable))
    assert find_compiler(IMAGE) == LocalCompiler(inside.executable)


def test_a_variable_that_names_nothing_is_no_reason_to_look_elsewhere(
    engine: Engines, inside: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine("docker", Engine([IMAGE], compiler=inside))
    monkeypatch.setenv(COMPILER_VARIABLE, "/nowhere/edgetpu_compiler")
    with pytest.raises(TidepoolError, match=f"{COMPILER_VARIABLE} names /nowhere") as error:
        find_compiler(IMAGE)
    assert error.value.exit_code is ExitCode.COMPILER_MISSING


@pytest.mark.usefixtures("engine")
def test_nothing_anywhere_names_all_three_places() -> None:
    with pytest.raises(TidepoolError, match="is not installed") as error:
        find_compiler()
    assert error.value.exit_code is ExitCode.COMPILER_MISSING
    for place in ("Coral's apt repository", COMPILER_VARIABLE, "edge_tpu.container"):
        assert place in error.value.hint


def test_compiler_that_states_no_version(tmp_path: Path) -> None:
    other = make_compiler(tmp_path / "other", Outcome(""), version="gcc 12")
    with pytest.raises(TidepoolError, match="doesn't name the compiler's version"):
        compiler_version(LocalCompiler(other.executable))

"""Sources in, firmware out: writes the CMake project beside the sources and builds it."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import jinja2

from converters.errors import TidepoolError
from converters.files import staged_directory
from device_runners.cortex_m.board import Board, all_boards
from device_runners.cortex_m.renode_files import (
    IN_PROJECT,
    PLATFORM,
    SCRIPT,
    renode_platform,
    renode_script,
)
from device_runners.cortex_m.tflm_library import TflmKernels, TflmLibrary, read_library
from device_runners.cortex_m.tools import BUILD_TOOLS, require_tools

TEMPLATES = Path(__file__).parent / "templates"

_BUILD_FOLDER = "build"
_ERROR_LINES = 12
_BUILD_SECONDS = 900
# Flags meant for the host's programs would end up in the firmware: CMake reads these.
_HOST_FLAGS = ("CFLAGS", "CXXFLAGS", "ASMFLAGS", "LDFLAGS", "CC", "CXX")


class RuntimeKind(StrEnum):
    """What executes the model on the core."""

    AOT = "aot"
    """The C code that was generated ahead of time, in the folder ``aot``."""
    TFLM = "tflm"
    """TensorFlow Lite Micro's interpreter, with the artifacts in the folder ``tflm``."""


class Measured(StrEnum):
    """What the firmware's measurements (instructions, ticks, stack) are of."""

    INFERENCE = "inference"
    SETUP = "setup"
    """The runtime's start, ``runtime_setup()``; the firmware infers nothing then."""


@dataclass(frozen=True)
class TflmOptions:
    """How a firmware links TensorFlow Lite Micro.

    Attributes:
        root: The tree that upstream's Makefile built the library in; None for the environment
            variable ``TFLM_ROOT``.
        kernels: Which kernels the library has to have; None for CMSIS-NN's where there are any.
        arena_bytes: Size of the arena; None for ``kTensorArenaSize`` of the artifacts.
    """

    root: Path | None = None
    kernels: TflmKernels | None = None
    arena_bytes: int | None = None


@dataclass(frozen=True)
class Firmware:
    """A firmware that was built.

    Attributes:
        model: Name of the model (a C identifier).
        board: What it was built for.
        runtime: What executes the model.
        trace: Whether it writes every tensor to ``trace.bin``.
        measured: What its measurements are of.
        tflm: The library that it links; None with ``aot``.
        directory: The CMake project, ``<mcu>/firmware``.
        elf: The image with its symbols.
        map_file: The linker's map.
    """

    model: str
    board: Board
    runtime: RuntimeKind
    trace: bool
    measured: Measured
    tflm: TflmLibrary | None
    directory: Path
    elf: Path
    map_file: Path


def write_firmware(mcu_directory: Path, model: str, board: Board, *, optimize: str = "-O2") -> Path:
    """Writes the CMake project ``<mcu>/firmware``, whole or not at all.

    What was built in it for other boards stays.

    Args:
        mcu_directory: The folder that holds ``aot/`` or ``tflm/`` (or both).
        model: Name of the model, a C identifier, which the files in there begin with.
        board: The board that the project is set to; it can be built for every known one.
        optimize: The compiler's flag for the model and its kernels.

    Returns:
        The project's folder.

    Raises:
        TidepoolError: Neither of the two folders holds the model.
    """
    directory = mcu_directory / "firmware"
    has_aot = (mcu_directory / "aot" / f"{model}.h").is_file()
    has_tflm = (mcu_directory / "tflm" / f"{model}_model_data.h").is_file()
    if not has_aot and not has_tflm:
        raise TidepoolError(
            f"{mcu_directory}: no sources of the model {model!r}: "
            f"neither aot/{model}.h nor tflm/{model}_model_data.h",
            hint="Generate the sources before the firmware.",
        )
    with staged_directory(directory) as staging:
        _write_project(
            staging, mcu_directory, model, board, optimize, has_aot=has_aot, has_tflm=has_tflm
        )
        if (directory / _BUILD_FOLDER).is_dir():
            (directory / _BUILD_FOLDER).replace(staging / _BUILD_FOLDER)
    return directory


def build_firmware(
    mcu_directory: Path,
    model: str,
    board: Board,
    runtime: RuntimeKind | str = RuntimeKind.AOT,
    *,
    trace: bool = False,
    measured: Measured = Measured.INFERENCE,
    optimize: str = "-O2",
    tflm: TflmOptions = TflmOptions(),
) -> Firmware:
    """Writes the project and builds it for one board, always from scratch.

    Args:
        mcu_directory: The folder that holds ``aot/`` and ``tflm/``, the sources.
        model: Name of the model, a C identifier.
        board: What to build for.
        runtime: ``aot``, or ``tflm`` with TensorFlow Lite Micro's library.
        trace: Whether the firmware writes every tensor; with ``aot`` only.
        measured: What it measures.
        optimize: The compiler's flag for the generated code; TFLM's glue has -O2.
        tflm: For ``tflm``: which library, and how large an arena.

    Raises:
        TidepoolError: A tool or a source is missing, TFLM's library isn't there or was built for
            another core, or CMake, the compiler or the linker refuses; the message holds their
            first lines.
    """
    require_tools(BUILD_TOOLS)
    runtime = RuntimeKind(runtime)
    directory = write_firmware(mcu_directory, model, board, optimize=optimize).resolve()
    variants: list[str] = [tflm.kernels] if tflm.kernels else []
    variants += ["trace"] if trace else []
    variants += ["setup"] if measured is Measured.SETUP else []
    name = "-".join([board.name, runtime, *variants])
    build = directory / _BUILD_FOLDER / name
    # A build from scratch takes seconds; an object that is older than it looks costs an afternoon.
    shutil.rmtree(build, ignore_errors=True)
    settings = {
        "CMAKE_TOOLCHAIN_FILE": str(directory / "cmake" / "arm-none-eabi.cmake"),
        "BOARD": board.name,
        "RUNTIME": str(runtime),
        "TIDEPOOL_TRACE": _switch(trace),
        "TIDEPOOL_MEASURE_SETUP": _switch(measured is Measured.SETUP),
    }
    if tflm.root is not None:
        settings["TFLM_ROOT"] = str(tflm.root.resolve())
    if tflm.kernels is not None:
        settings["TFLM_KERNELS"] = str(tflm.kernels)
    if tflm.arena_bytes is not None:
        settings["TFLM_ARENA_BYTES"] = str(tflm.arena_bytes)
    definitions = [f"-D{key}={value}" for key, value in settings.items()]
    configure = ["cmake", "-S", str(directory), "-B", str(build), "-G", "Ninja", *definitions]
    what = f"{model} for {board.name}"
    _run(configure, f"CMake can't configure the firmware of {what}")
    _run(["cmake", "--build", str(build)], f"the firmware of {what} doesn't build")
    return Firmware(
        model=model,
        board=board,
        runtime=runtime,
        trace=trace,
        measured=measured,
        tflm=read_library(build) if runtime is RuntimeKind.TFLM else None,
        directory=directory,
        elf=build / "firmware.elf",
        map_file=build / "firmware.map",
    )


def vary_firmware(
    firmware: Firmware, *, measured: Measured | None = None, arena_bytes: int | None = None
) -> Firmware:
    """Builds a firmware anew, in its place, with something changed: seconds less than from scratch.

    Args:
        firmware: What ``build_firmware`` returned; its image is replaced.
        measured: What it measures; None for what it did.
        arena_bytes: With ``tflm``: the arena's size; None for what it was.

    Raises:
        TidepoolError: The compiler or the linker refuses, for example an arena too large.
    """
    settings = []
    if measured is not None:
        settings.append(f"-DTIDEPOOL_MEASURE_SETUP={_switch(measured is Measured.SETUP)}")
    if arena_bytes is not None:
        settings.append(f"-DTFLM_ARENA_BYTES={arena_bytes}")
    build = str(firmware.elf.parent)
    what = f"{firmware.model} for {firmware.board.name}"
    _run(["cmake", *settings, build], f"CMake can't configure the firmware of {what}")
    _run(["cmake", "--build", build], f"the firmware of {what} doesn't build")
    return replace(firmware, measured=measured or firmware.measured)


def _switch(value: bool) -> str:
    return "ON" if value else "OFF"


def _write_project(
    target: Path,
    mcu_directory: Path,
    model: str,
    board: Board,
    optimize: str,
    *,
    has_aot: bool,
    has_tflm: bool,
) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def render(template: str, path: str, **variables: object) -> None:
        text = environment.get_template(template).render(
            model=model, M=model.upper(), board=board, **variables
        )
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text)

    for source in sorted(TEMPLATES.rglob("*")):
        if source.is_file() and source.suffix != ".j2":
            copy = target / source.relative_to(TEMPLATES)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    render("CMakeLists.txt.j2", "CMakeLists.txt", optimize=optimize)
    render("README.md.j2", "README.md", boards=all_boards())
    for each in {each.name: each for each in (*all_boards(), board)}.values():
        folder = target / "boards" / each.name
        folder.mkdir(parents=True)
        for template, name in (("linker.ld.j2", "linker.ld"), ("board.cmake.j2", "board.cmake")):
            (folder / name).write_text(environment.get_template(template).render(board=each))
        (folder / PLATFORM).write_text(renode_platform(each))
        (folder / SCRIPT).write_text(renode_script(each, IN_PROJECT))
    if has_aot:
        header = mcu_directory / "aot" / f"{model}.h"
        render(
            "src/runtime_aot.c.j2",
            "src/runtime_aot.c",
            inputs=_count(header, f"{model.upper()}_INPUT_COUNT"),
            outputs=_count(header, f"{model.upper()}_OUTPUT_COUNT"),
        )
    if has_tflm:
        render("src/runtime_tflm.cc.j2", "src/runtime_tflm.cc")
        render("src/tflm_arena.cc.j2", "src/tflm_arena.cc")


def _count(header: Path, macro: str) -> int:
    match = re.search(rf"^#define {macro} \(?(\d+)", header.read_text(), re.MULTILINE)
    if match is None:
        raise TidepoolError(
            f"{header}: no #define of {macro}", hint="Generate the ahead-of-time code again."
        )
    return int(match[1])


def _run(command: list[str], failure: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in _HOST_FLAGS}
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=_BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TidepoolError(f"{failure}: no end after {_BUILD_SECONDS} s") from error
    if result.returncode != 0:
        raise TidepoolError(
            f"{failure}:\n{_first_errors(result.stderr + result.stdout)}",
            hint=f"For the whole output repeat: {shlex.join(command)}",
        )


def _first_errors(output: str) -> str:
    """The lines from the first one on that speaks of an error; of CMake's own, just the text."""
    lines = [line for line in output.splitlines() if line.strip()]
    for first, line in enumerate(lines):
        if line.startswith("CMake Error"):
            text = itertools.takewhile(lambda each: each.startswith(" "), lines[first + 1 :])
            return "\n".join(itertools.islice(text, _ERROR_LINES))
        if re.search(r"error|undefined reference|overflowed|will not fit", line, re.IGNORECASE):
            return "\n".join(lines[first : first + _ERROR_LINES])
    return "\n".join(lines[:_ERROR_LINES])

"""How the emulator counts instructions: its plugin, or SysTick where a plugin can't be had."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from device_runners.cortex_m.tools import QEMU, tool_status

PLUGIN_SOURCES = tuple(sorted((Path(__file__).parent / "plugin").glob("*.[ch]")))

TICKS_WRAPPED = 0xFFFFFFFF
"""In ``ticks.bin``: SysTick's 24 bits weren't enough for the inference."""

_SECONDS = 60
_API_OF_QEMU = (((9, 1), 3), ((9, 0), 2), ((0, 0), 1))
"""Versions of the plugins' interface, each with the first QEMU that has it."""


class CountMethod(StrEnum):
    """How instructions were counted."""

    PLUGIN = "plugin"
    """Each instruction by a TCG plugin: exact."""
    ICOUNT = "icount"
    """SysTick under ``-icount shift=0``: in steps of 1e9 / clock, some tens of instructions."""
    RENODE = "renode"
    """Renode's count of executed instructions, read at both ends of the inference."""


@dataclass(frozen=True)
class Counter:
    """The way to count on this machine.

    Attributes:
        method: The way.
        plugin: The plugin's library; None for ``ICOUNT``.
        reason: Why it isn't the plugin; empty when it is.
    """

    method: CountMethod
    plugin: Path | None
    reason: str


@cache
def instruction_counter() -> Counter:
    """Builds and tries the plugin at the first use; falls back to SysTick with the reason."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return _fallback("no C compiler for this machine (cc, gcc, clang) is installed")
    source = b"".join(path.read_bytes() for path in PLUGIN_SOURCES)
    version = tool_status(QEMU).version
    api = _api_of(version)
    key = hashlib.sha256(source + f"{compiler} {version} {api}".encode()).hexdigest()[:16]
    library = cache_directory() / f"count-{key}.so"
    if not library.exists():
        error = _build_plugin(compiler, api, library)
        if error:
            return _fallback(f"the plugin doesn't build: {error}")
    error = _try_plugin(library)
    if error:
        return _fallback(f"{QEMU} {version} doesn't load the plugin: {error}")
    return Counter(CountMethod.PLUGIN, library, "")


def cache_directory() -> Path:
    """The user's cache folder for what is built once a machine."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "tidepool"


def instructions_of_ticks(ticks: int, clock_hz: int) -> int:
    """Instructions of SysTick ticks: with ``-icount shift=0`` one instruction takes 1 ns."""
    return round(ticks * 1e9 / clock_hz)


def read_counts(path: Path) -> tuple[tuple[int, int], ...]:
    """The plugin's output: instructions and estimated cycles between each pair of markers."""
    pairs = (line.split() for line in path.read_text().splitlines())
    return tuple((int(instructions), int(cycles)) for instructions, cycles in pairs)


def _api_of(version: str) -> int:
    """The version of the plugins' interface for a QEMU, ``7.2.22`` or so; 1 if that's unknown."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    return next(api for first, api in _API_OF_QEMU if (numbers or (0, 0)) >= first)


def _fallback(reason: str) -> Counter:
    return Counter(CountMethod.ICOUNT, None, reason)


def _build_plugin(compiler: str, api: int, library: Path) -> str:
    """Compiles the plugin; returns why it didn't work, or nothing."""
    sources = [str(path) for path in PLUGIN_SOURCES if path.suffix == ".c"]
    flags = ["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", f"-DPLUGIN_API={api}"]
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as directory:
            built = Path(directory) / library.name
            result = subprocess.run(
                [compiler, *flags, *sources, "-o", str(built)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
            if result.returncode != 0:
                return result.stderr.strip().partition("\n")[0] or f"{compiler} failed"
            # Two runs may build it at the same time: the last rename wins, both are right.
            built.replace(library)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return ""


def _try_plugin(library: Path) -> str:
    """Loads the plugin into a machine without a CPU; returns why it didn't work, or nothing."""
    arguments = f"{library},begin=0,end=4,out={os.devnull}"
    command = [QEMU, "-machine", "none", "-display", "none", "-monitor", "stdio"]
    try:
        result = subprocess.run(
            [*command, "-plugin", arguments],
            input="quit\n",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if result.returncode != 0:
        return result.stderr.strip().partition("\n")[0] or f"exit code {result.returncode}"
    return ""

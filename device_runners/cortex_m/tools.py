"""The programs that firmware needs: which are installed, in which version, how to get them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from converters.errors import TidepoolError

ARM_GCC = "arm-none-eabi-gcc"
QEMU = "qemu-system-arm"
CMAKE = "cmake"
NINJA = "ninja"
RENODE = "renode"

PACKAGES = MappingProxyType(
    {
        ARM_GCC: ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi"),
        QEMU: ("qemu-system-arm",),
        CMAKE: ("cmake",),
        NINJA: ("ninja-build",),
    }
)
"""The packages of Debian and Ubuntu that hold each program."""

BUILD_TOOLS = (ARM_GCC, CMAKE, NINJA)
RUN_TOOLS = (QEMU,)

_PROBE_SECONDS = 30


@dataclass(frozen=True)
class ToolStatus:
    """Whether a program is there.

    Attributes:
        name: The program's name on the PATH.
        found: Whether it was found and could tell its version.
        version: Its version ("12.2.1"); empty when it wasn't found.
        hint: How to install it; empty when it was found.
    """

    name: str
    found: bool
    version: str
    hint: str


def tool_status(name: str) -> ToolStatus:
    """Looks for one program and asks for its version."""
    missing = ToolStatus(name, False, "", _install_hint([name]))
    path = shutil.which(name)
    if path is None:
        return missing
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return missing
    # GCC's first line holds the package's version too, in parentheses.
    first_line = answer.stdout.partition("\n")[0]
    versions = re.findall(r"\d+(?:\.\d+)+", re.sub(r"\(.*?\)", "", first_line))
    return ToolStatus(name, True, versions[0] if versions else first_line, "")


def tool_statuses() -> tuple[ToolStatus, ...]:
    """The status of every program that firmware and emulator need."""
    return tuple(tool_status(name) for name in PACKAGES)


def require_tools(names: Sequence[str]) -> None:
    """Raises one error that names all missing programs and the line that installs them.

    Raises:
        TidepoolError: One of ``names`` isn't on the PATH.
    """
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise TidepoolError(f"not installed: {', '.join(missing)}", hint=_install_hint(missing))


def _install_hint(names: Sequence[str]) -> str:
    packages = [package for name in names for package in PACKAGES.get(name, ())]
    hints = [f"Debian, Ubuntu: sudo apt-get install {' '.join(packages)}"] if packages else []
    if RENODE in names:
        hints.append(
            "Renode isn't in their archives: take a nightly build from https://renode.io "
            "and put it on the PATH."
        )
    return " ".join(hints)

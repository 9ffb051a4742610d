"""The kernels as they are written beside a model: under names that say their version.

Two models in one image may come from two versions of the code generator, with kernels of the same
names that want other parameters. A linker would keep one of them for both models and say nothing.
So each kernel's name ends in a digest of all kernels' sources: equal kernels stay one function,
others are another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from functools import cache
from importlib import resources

KERNELS_HEADER = "tidepool_kernels.h"
"""What every other header includes, and what says the version."""

# A prototype at the start of a line; those that begin with "extern" are the user's to define.
_KERNEL = re.compile(r"^void (tidepool_\w+)\(", re.MULTILINE)
# A call in a function's body, so indented.
_CALL = re.compile(r"^ +tidepool_(\w+)\(", re.MULTILINE)
_VERSION = re.compile(r"^#define TIDEPOOL_KERNELS_VERSION .*$", re.MULTILINE)
_INCLUDE = re.compile(r'^#include "(tidepool_\w+\.h)"$', re.MULTILINE)


@cache
def kernels_version() -> str:
    """Eight hexadecimal digits of the SHA-256 over the sources of all kernels."""
    digest = hashlib.sha256()
    for name, text in sorted(_sources().items()):
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()[:8]


def declaring_header(kernel: str) -> str:
    """The header that declares a kernel (named without ``.c``)."""
    for name, text in _sources().items():
        if name.endswith(".h") and f"tidepool_{kernel}" in _KERNEL.findall(text):
            return name
    raise KeyError(kernel)


def kernel_files(kernels: Collection[str]) -> dict[str, str]:
    """Output file -> content: kernels (named without ``.c``) and what they include."""
    sources = _sources()
    files = {f"tidepool_{kernel}.c": sources[f"{kernel}.c"] for kernel in _with_called(kernels)}
    waiting = [KERNELS_HEADER, *map(declaring_header, kernels)]
    waiting += [header for text in files.values() for header in _INCLUDE.findall(text)]
    while waiting:
        name = waiting.pop()
        if name not in files:
            files[name] = _header(name, sources[name])
            waiting += _INCLUDE.findall(sources[name])
    return dict(sorted(files.items()))


def _with_called(kernels: Collection[str]) -> set[str]:
    """Kernels, and those that they call."""
    found: set[str] = set()
    waiting = list(kernels)
    while waiting:
        kernel = waiting.pop()
        if kernel not in found:
            found.add(kernel)
            called = set(_CALL.findall(_sources()[f"{kernel}.c"]))
            waiting += [other for other in called if f"{other}.c" in _sources()]
    return found


@cache
def _sources() -> dict[str, str]:
    folder = resources.files("device_runners.cgen") / "kernels"
    return {
        file.name: file.read_text()
        for file in folder.iterdir()
        if file.is_file() and file.name.endswith((".c", ".h"))
    }


def _header(name: str, text: str) -> str:
    """A header with the version, or with a check of it and the kernels' names in this version."""
    version = kernels_version()
    if name == KERNELS_HEADER:
        return _VERSION.sub(f"#define TIDEPOOL_KERNELS_VERSION 0x{version}", text, count=1)
    lines = [
        "",
        f"#if TIDEPOOL_KERNELS_VERSION != 0x{version}",
        f'#error "{KERNELS_HEADER} is of another version: give each model a folder of its own"',
        "#endif",
        "",
        *(f"#define {kernel} {kernel}_{version}" for kernel in sorted(_KERNEL.findall(text))),
    ]
    *_, last = _INCLUDE.finditer(text)
    return text[: last.end()] + "\n".join(["", *lines]) + text[last.end() :]

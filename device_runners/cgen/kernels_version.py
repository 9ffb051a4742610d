"""The kernels as they are written beside a model: under names that say their version.

Two models in one image may come from two versions of the code generator, with kernels of the same
names that want other parameters. A linker would keep one of them for both models and say nothing.
So each kernel's name ends in a digest of all kernels' sources: equal kernels stay one function,
others are another.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources

KERNELS_HEADER = "tidepool_kernels.h"

# A prototype at the start of a line; those that begin with "extern" are the user's to define.
_KERNEL = re.compile(r"^void (tidepool_\w+)\(", re.MULTILINE)
_VERSION = re.compile(r"^#define TIDEPOOL_KERNELS_VERSION .*$", re.MULTILINE)


@cache
def kernels_version() -> str:
    """Eight hexadecimal digits of the SHA-256 over the sources of all kernels."""
    digest = hashlib.sha256()
    for name, text in sorted(_sources().items()):
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()[:8]


def kernel_file(name: str) -> tuple[str, str]:
    """Name in the output folder, and content, of a kernel (without ``.c``) or of the header."""
    if name == KERNELS_HEADER:
        return name, _header(_sources()[name])
    return f"tidepool_{name}.c", _sources()[f"{name}.c"]


@cache
def _sources() -> dict[str, str]:
    folder = resources.files("device_runners.cgen") / "kernels"
    return {
        file.name: file.read_text()
        for file in folder.iterdir()
        if file.is_file() and file.name.endswith((".c", ".h"))
    }


def _header(text: str) -> str:
    version = kernels_version()
    lines = [f"#define TIDEPOOL_KERNELS_VERSION 0x{version}"]
    lines += [f"#define {name} {name}_{version}" for name in sorted(_KERNEL.findall(text))]
    return _VERSION.sub("\n".join(lines), text, count=1)

"""What went into a run and what came out, so that anybody can reproduce it.

It holds no time and no absolute path of the build: the same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from converters.files import write_atomic
from pipeline.settings import Settings

_PACKAGES = ("tidepool", "tensorflow", "keras", "ai-edge-litert", "tflite-micro", "numpy")
SCHEMA_VERSION = 1


def write_manifest(
    path: Path,
    *,
    settings: Settings,
    inputs: Iterable[Path],
    outputs: Iterable[Path],
    tools: dict[str, str],
) -> Path:
    """Writes ``manifest.json``.

    Args:
        path: The file to write; outputs are named relative to its folder.
        settings: The resolved settings.
        inputs: Files and folders that the run read.
        outputs: Files that the run wrote.
        tools: Name -> version of the external tools that took part.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "settings": settings.model_dump(mode="json"),
        "inputs": {str(item): digest(item) for item in inputs},
        "outputs": {
            str(item.relative_to(path.parent)): digest(item)
            for item in sorted(outputs)
            if item.exists()
        },
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "tools": dict(sorted(tools.items())),
    }
    return write_atomic(path, json.dumps(content, indent=2) + "\n")


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files with their names."""
    total = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            total.update(str(file.relative_to(path)).encode() + b"\0")
        with file.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{total.hexdigest()}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

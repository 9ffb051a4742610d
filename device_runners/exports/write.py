"""Writes an export to a folder, and refuses to overwrite what isn't one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from converters.errors import TidepoolError
from converters.files import staged_directory
from device_runners.exports.layout import Format, Tree, render
from device_runners.exports.package import Package, read_files
from device_runners.exports.registry import FORMATS

MANIFEST = "tidepool_export.json"
"""The file that tells an export from a folder of the user's: it lists what was written."""

_README = "README.md"


@dataclass(frozen=True)
class Export:
    """An export that was written.

    Attributes:
        format: Its format's name.
        directory: Its folder.
        files: The files in it, relative to the folder, in alphabetical order.
    """

    format: str
    directory: Path
    files: tuple[str, ...]


def write_export(package: Package, format_name: str, out: Path) -> Export:
    """Lays out a package for an ecosystem.

    Args:
        package: The model's sources.
        format_name: A key of ``FORMATS``.
        out: The folder; an earlier export in it is replaced as a whole, or left alone on an error.

    Raises:
        TidepoolError: There is no such format, or ``out`` holds something that is not an export,
            or an export that was changed.
    """
    layout = find_format(format_name)
    refuse_foreign(out)
    tree = export_tree(package, layout)
    with staged_directory(out) as staging:
        for name, content in tree.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return Export(layout.name, out, tuple(sorted(tree)))


def find_format(name: str) -> Format:
    """The format of this name.

    Raises:
        TidepoolError: There is none; the hint lists them all.
    """
    if name not in FORMATS:
        raise TidepoolError(
            f"there is no export format '{name}'", hint=f"formats: {', '.join(FORMATS)}"
        )
    return FORMATS[name]


def export_tree(package: Package, layout: Format) -> Tree:
    """All files of an export, with its README and its manifest."""
    readme = render(
        "README.md.j2",
        package,
        format=layout,
        checked=layout.checked[package.runtime],
        unchecked=layout.unchecked[package.runtime],
    )
    tree = {**layout.lay_out(package, readme), _README: readme}
    tree[MANIFEST] = _manifest(package, layout, tree)
    return tree


def _manifest(package: Package, layout: Format, tree: Tree) -> bytes:
    content = {
        "generator": package.generator,
        "format": layout.name,
        "runtime": str(package.runtime),
        "model": package.name,
        "model_sha256": package.model_sha256,
        "version": package.identity.version,
        "arena_bytes": package.arena_bytes,
        "files": {name: _sha256(data) for name, data in sorted(tree.items())},
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refuse_foreign(out: Path) -> None:
    """Makes sure that nothing of the user's is lost when ``out`` is replaced.

    Raises:
        TidepoolError: ``out`` is a file, a folder that isn't an export, or an export with a file
            that was added or changed since; the message names it.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    elsewhere = "give another --out, or move away what is there"
    if not out.is_dir():
        raise TidepoolError(f"{out} is a file", hint=elsewhere)
    try:
        written = json.loads((out / MANIFEST).read_text())["files"]
        expected = dict(written)
    except (OSError, ValueError, KeyError, TypeError):
        raise TidepoolError(
            f"folder {out} exists and is not an export (it has no {MANIFEST})", hint=elsewhere
        ) from None
    for name, content in read_files(out).items():
        if name != MANIFEST and expected.get(name) != _sha256(content):
            what = "was changed since" if name in expected else "is not of the export"
            raise TidepoolError(f"{out / name} {what}: it would be lost", hint=elsewhere)

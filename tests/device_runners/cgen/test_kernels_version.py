"""The kernels' names and linkage: what lets several models share an image."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import device_runners.cgen
from device_runners.cgen import kernels_version
from device_runners.cgen.kernels_version import KERNELS_HEADER, kernel_files

FOLDER = Path(device_runners.cgen.__file__).parent / "kernels"
KERNELS = sorted(path.stem for path in FOLDER.glob("*.c"))


def symbols(object_file: Path) -> dict[str, str]:
    """Name -> kind of every global symbol."""
    listing = subprocess.run(
        ["nm", "--extern-only", object_file], check=True, capture_output=True, text=True
    ).stdout
    return {line.split()[-1]: line.split()[-2] for line in listing.splitlines()}


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_definitions_are_weak_and_end_in_the_version(
    tmp_path: Path, kernel: str, compiler: str
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    for file, text in kernel_files([kernel]).items():
        (tmp_path / file).write_text(text)
    command = [compiler, "-std=c11", "-c", tmp_path / f"tidepool_{kernel}.c", "-o", tmp_path / "o"]
    subprocess.run(command, check=True)
    defined = {name: kind for name, kind in symbols(tmp_path / "o").items() if kind != "U"}
    assert defined
    version = kernels_version.kernels_version()
    for name, kind in defined.items():
        assert kind == "W"
        assert name.startswith("tidepool_")
        assert name.endswith(f"_{version}")


def test_references_are_not_weak(tmp_path: Path) -> None:
    for file, text in kernel_files(["copy"]).items():
        (tmp_path / file).write_text(text)
    (tmp_path / "m.c").write_text(
        '#include "tidepool_moves.h"\n'
        "void m(const tidepool_copy_params *p, int8_t *b) { tidepool_copy(p, b, b); }\n"
    )
    subprocess.run(["gcc", "-c", tmp_path / "m.c", "-o", tmp_path / "o"], check=True)
    assert symbols(tmp_path / "o")[f"tidepool_copy_{kernels_version.kernels_version()}"] == "U"


@pytest.mark.parametrize("name", ["add.c", KERNELS_HEADER])
def test_any_change_of_any_kernel_is_another_version(monkeypatch, name: str) -> None:
    sources = kernels_version._sources()
    changed = {**sources, name: sources[name] + "\n"}
    monkeypatch.setattr(kernels_version, "_sources", lambda: changed)
    # Around the cache, which the other tests share.
    assert kernels_version.kernels_version.__wrapped__() != kernels_version.kernels_version()


def test_every_kernel_is_declared_under_its_name_with_the_version() -> None:
    files = kernel_files(KERNELS)
    version = kernels_version.kernels_version()
    assert f"#define TIDEPOOL_KERNELS_VERSION 0x{version}\n" in files[KERNELS_HEADER]
    headers = "".join(text for name, text in files.items() if name.endswith(".h"))
    for kernel in KERNELS:
        assert f"#define tidepool_{kernel} tidepool_{kernel}_{version}\n" in headers
    assert "#define tidepool_trace" not in headers


def test_a_header_of_another_version_is_refused(tmp_path: Path) -> None:
    for file, text in kernel_files(["copy"]).items():
        (tmp_path / file).write_text(text)
    header = tmp_path / KERNELS_HEADER
    header.write_text(header.read_text().replace(kernels_version.kernels_version(), "0ddba115"))
    command = ["gcc", "-fsyntax-only", tmp_path / "tidepool_copy.c"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode != 0
    assert "give each model a folder of its own" in result.stderr


def test_only_the_headers_that_a_kernel_includes_are_written() -> None:
    assert set(kernel_files(["copy"])) == {"tidepool_copy.c", KERNELS_HEADER, "tidepool_moves.h"}

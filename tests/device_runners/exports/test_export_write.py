"""What an export writes, and what it refuses to overwrite."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from support.export_packages import small_package

from converters.errors import TidepoolError
from converters.naming import c_identifier
from device_runners.exports import FORMATS, Identity, Runtime, package_of, write_export
from device_runners.exports.package import bounded_name, read_files
from device_runners.exports.write import MANIFEST

every_format = pytest.mark.parametrize("name", FORMATS)
every_runtime = pytest.mark.parametrize("runtime", Runtime)


@every_format
@every_runtime
def test_the_same_package_gives_the_same_bytes(tmp_path, packages, name, runtime) -> None:
    package = packages["one", runtime]
    write_export(package, name, tmp_path / "a")
    write_export(package, name, tmp_path / "b")
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")


@every_format
@every_runtime
def test_readme_tells_use_sizes_and_what_is_not_checked(tmp_path, packages, name, runtime) -> None:
    package = packages["one", runtime]
    export = write_export(package, name, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "README.md" in export.files
    for part in ("## Use", "## Several models in one firmware", "Not checked: ", "real boards"):
        assert part in text
    assert f"{package.arena_bytes} bytes of RAM" in text
    assert f"{package.self_test.crc32:08x}" in text
    assert "{{" not in text


@every_format
@every_runtime
def test_no_file_of_an_export_names_this_machine(tmp_path, packages, name, runtime) -> None:
    write_export(packages["one", runtime], name, tmp_path / "out")
    for path, content in _with_archived(tmp_path / "out").items():
        assert str(tmp_path).encode() not in content, path
        assert b"{{" not in content.replace(b"{{1", b"").replace(b"{{8", b"") or path.endswith(
            (".h", ".c", ".cc", ".cpp")
        ), path


@every_format
def test_an_export_replaces_an_earlier_one(tmp_path, packages, name) -> None:
    out = tmp_path / "out"
    write_export(packages["one", Runtime.AOT], name, out)
    write_export(packages["two", Runtime.TFLM], name, out)
    fresh = tmp_path / "fresh"
    write_export(packages["two", Runtime.TFLM], name, fresh)
    assert read_files(out) == read_files(fresh)


def test_a_folder_that_is_no_export_is_left_alone(tmp_path, packages) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "main.c").write_text("mine")
    with pytest.raises(TidepoolError, match="is not an export"):
        write_export(packages["one", Runtime.AOT], "cmake", tmp_path / "out")
    assert read_files(tmp_path / "out") == {"main.c": b"mine"}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 3}'])
def test_a_broken_manifest_makes_no_export(tmp_path, packages, content) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_text(content)
    with pytest.raises(TidepoolError, match="is not an export"):
        write_export(packages["one", Runtime.AOT], "cmake", tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "complaint"),
    [("src/one.c", "was changed since"), ("notes.txt", "is not of the export")],
)
def test_changes_to_an_export_are_not_lost(tmp_path, packages, file, complaint) -> None:
    out = tmp_path / "out"
    write_export(packages["one", Runtime.AOT], "cmake", out)
    (out / file).write_text("mine")
    with pytest.raises(TidepoolError, match=complaint) as raised:
        write_export(packages["one", Runtime.AOT], "cmake", out)
    assert file in raised.value.message
    assert (out / file).read_text() == "mine"


def test_a_file_is_not_overwritten_by_a_folder(tmp_path, packages) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(TidepoolError, match="is a file"):
        write_export(packages["one", Runtime.AOT], "cmake", tmp_path / "out")


def test_an_empty_folder_may_be_written_to(tmp_path, packages) -> None:
    (tmp_path / "out").mkdir()
    assert write_export(packages["one", Runtime.AOT], "c-array", tmp_path / "out").files


def test_an_unknown_format_lists_the_known_ones(tmp_path, packages) -> None:
    with pytest.raises(TidepoolError, match="no export format 'mbed'") as raised:
        write_export(packages["one", Runtime.AOT], "mbed", tmp_path / "out")
    assert all(name in raised.value.hint for name in FORMATS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": "1.0"},
        {"version": "01.0.0"},
        {"version": "1.0.0\n"},
        {"vendor": "two words"},
        {"vendor": "<&>"},
        {"vendor": ""},
        {"vendor": "ArduinoFan"},
        {"url": "example.com"},
        {"url": 'https://x/"><x'},
    ],
    ids=str,
)
def test_an_identity_that_manifests_cannot_hold_is_refused(wrong) -> None:
    with pytest.raises(TidepoolError):
        Identity(**wrong)


def test_the_manifest_lists_every_file(tmp_path, packages) -> None:
    export = write_export(packages["one", Runtime.AOT], "zephyr", tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert {*manifest["files"], MANIFEST} == set(export.files) == set(read_files(tmp_path / "out"))
    assert manifest["arena_bytes"] == packages["one", Runtime.AOT].arena_bytes


def test_archives_hold_no_time_stamp_and_are_sorted(tmp_path, packages) -> None:
    for name, pattern in (("arduino", "*.zip"), ("cmsis-pack", "*.pack")):
        write_export(packages["one", Runtime.AOT], name, tmp_path / name)
        (path,) = (tmp_path / name).glob(pattern)
        with zipfile.ZipFile(path) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            assert archive.namelist() == sorted(archive.namelist())
            assert archive.testzip() is None


def test_long_names_are_cut_and_stay_different() -> None:
    long = "a" * 80
    assert bounded_name("short", 63) == "short"
    assert len(bounded_name(long, 63)) == 63
    assert bounded_name(long, 63) != bounded_name(long + "b", 63)


@pytest.mark.parametrize("title", ["2D Net (v2)", "class", "Äpfel/2", "tidepool", "t", "std"])
@every_format
def test_any_model_name_gives_names_that_ecosystems_take(tmp_path, title, name) -> None:
    package = small_package(c_identifier(title), Runtime.AOT, tmp_path)
    assert "tidepool_kernels.h" in package.private_headers
    assert all(header.startswith("tidepool_") for header in package.private_headers)
    export = write_export(package, name, tmp_path / "out")
    words = re.compile(r"[A-Za-z0-9_./-]+")
    assert all(words.fullmatch(file) for file in export.files)


def _with_archived(folder: Path) -> dict[str, bytes]:
    files = read_files(folder)
    for archive in [*folder.glob("*.zip"), *folder.glob("*.pack")]:
        with zipfile.ZipFile(archive) as content:
            files |= {f"{archive.name}/{n}": content.read(n) for n in content.namelist()}
            del files[archive.name]
    return files


def test_float_inputs_have_no_package(tmp_path) -> None:
    import dataclasses

    from support.export_packages import small_graph
    from support.models import int8_model

    from converters.tflite.graph import TensorType
    from device_runners.exports import SelfTest
    from device_runners.runner import Artifacts

    model = int8_model(small_graph(1), "float_input")
    (index,) = model.graph.inputs
    tensors = list(model.graph.tensors)
    tensors[index] = dataclasses.replace(tensors[index], type=TensorType.FLOAT32)
    broken = dataclasses.replace(
        model, graph=dataclasses.replace(model.graph, tensors=tuple(tensors))
    )
    artifacts = Artifacts(tmp_path, (), {"arena_bytes": 0, "weights_bytes": 0})
    with pytest.raises(TidepoolError, match="FLOAT32, not an integer"):
        package_of(broken, artifacts, Runtime.AOT, self_test=SelfTest(1, 0), generator="t")

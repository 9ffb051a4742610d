"""The manifest: the same inputs give the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.manifest import digest, write_manifest
from pipeline.settings import load_settings


def write(folder: Path) -> str:
    model, output = folder / "model.tflite", folder / "out.bin"
    model.write_bytes(b"model")
    output.write_bytes(b"output")
    manifest = write_manifest(
        folder / "manifest.json",
        settings=load_settings(None, {"mcu.core": "cortex-m7"}),
        inputs=[model],
        outputs=[output],
        tools={"qemu": "7.2"},
    )
    return manifest.read_text()


def test_same_inputs_give_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path) == write(tmp_path)


def test_holds_settings_hashes_and_versions(tmp_path: Path) -> None:
    content = json.loads(write(tmp_path))
    assert content["settings"]["mcu"]["core"] == "cortex-m7"
    assert content["outputs"] == {"out.bin": digest(tmp_path / "out.bin")}
    assert content["packages"]["numpy"] and content["tools"] == {"qemu": "7.2"}


def test_digest_of_a_folder_depends_on_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = digest(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({before, renamed, digest(tmp_path)}) == 3

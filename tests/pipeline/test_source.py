"""What MODEL may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import TidepoolError
from pipeline.listener import Silent
from pipeline.source import model_file, resolve


def project(tmp_path: Path, train: str) -> Path:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "train.py").write_text(train)
    return folder


def test_missing_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match=r"nothing\.keras does not exist"):
        resolve(tmp_path / "nothing.keras")


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match="holds no model"):
        resolve(tmp_path)


def test_tflite_is_filed_under_its_stem(tmp_path: Path) -> None:
    path = tmp_path / "Net_int8.tflite"
    path.touch()
    source = resolve(path)
    assert source.is_tflite and source.name == "net"
    assert source.int8_file(Path("build")) == Path("build/net/net_int8.tflite")


def test_project_brings_its_settings(tmp_path: Path) -> None:
    folder = project(tmp_path, "")
    assert resolve(folder).config is None
    (folder / "tidepool.toml").touch()
    assert resolve(folder).config == folder / "tidepool.toml"


def test_project_is_trained_once(tmp_path: Path) -> None:
    script = """
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--out", type=pathlib.Path)
out = parser.parse_args().out
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text("trained")
"""
    source = resolve(project(tmp_path, script))
    trained = model_file(source, tmp_path / "build", Silent())
    assert trained == tmp_path / "build" / "net" / "net.keras"
    trained.write_text("kept")
    assert model_file(source, tmp_path / "build", Silent()).read_text() == "kept"


def test_failing_training_shows_its_last_lines(tmp_path: Path) -> None:
    source = resolve(project(tmp_path, "raise SystemExit('no data today')"))
    with pytest.raises(TidepoolError, match=r"(?s)train\.py failed.*no data today"):
        model_file(source, tmp_path / "build", Silent())

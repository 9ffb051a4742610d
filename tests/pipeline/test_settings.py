"""Settings: defaults, the file, the options over it, and one clear error for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import TidepoolError
from pipeline.settings import RuntimeChoice, load_settings


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tidepool.toml"
    path.write_text(text)
    return path


def test_options_override_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    path = config(tmp_path, '[mcu]\ncore = "cortex-m7"\nsamples = 3\n[gate]\nmax_drop = 2.5\n')
    settings = load_settings(path, {"mcu.core": "cortex-m33", "mcu.runtime": None})
    assert settings.mcu.core == "cortex-m33"
    assert settings.mcu.samples == 3
    assert settings.gate.max_drop == 2.5
    assert settings.mcu.runtime is RuntimeChoice.AOT


def test_dataset_beside_the_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "recipe.py").touch()
    path = config(tmp_path, '[dataset]\nsource = "recipe.py"\n')
    assert load_settings(path, {}).dataset.source == str(tmp_path / "recipe.py")


def test_unknown_key_names_the_nearest_known_one(tmp_path: Path) -> None:
    path = config(tmp_path, '[mcu]\ncoer = "cortex-m7"\n')
    with pytest.raises(TidepoolError, match=r"mcu\.coer: unknown key.*'mcu\.core'"):
        load_settings(path, {})


def test_unknown_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match="gates: unknown key"):
        load_settings(config(tmp_path, "[gates]\nmax_drop = 1\n"), {})


def test_every_wrong_value_is_named_at_once(tmp_path: Path) -> None:
    path = config(tmp_path, '[mcu]\nruntime = "jit"\n[gate]\nmax_drop = -1\n')
    with pytest.raises(TidepoolError) as error:
        load_settings(path, {})
    assert "mcu.runtime" in error.value.message and "'jit'" in error.value.message
    assert "gate.max_drop" in error.value.message


def test_missing_file_and_broken_toml_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match=r"nothing\.toml does not exist"):
        load_settings(tmp_path / "nothing.toml", {})
    with pytest.raises(TidepoolError, match="can't be read"):
        load_settings(config(tmp_path, "[mcu\n"), {})

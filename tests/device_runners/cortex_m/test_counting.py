"""The plugin: built once a machine, or the reason why it can't be had."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.aot_folder import NEGATE, int8_layout, random_samples, write_aot_folder

from device_runners.cortex_m import CountMethod, Qemu, build_firmware, find_board
from device_runners.cortex_m.counting import cache_directory, instruction_counter
from device_runners.cortex_m.tools import QEMU


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache folder for this test alone, and no memory of an earlier answer."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    instruction_counter.cache_clear()
    yield
    instruction_counter.cache_clear()


def path_with(monkeypatch, directory: Path, **programs: str) -> None:
    """A PATH that holds QEMU and these shell scripts only."""
    directory.mkdir()
    qemu = shutil.which(QEMU)
    assert qemu is not None
    (directory / QEMU).symlink_to(qemu)
    for name, script in programs.items():
        program = directory / name.replace("qemu", QEMU)
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))


def test_the_plugin_is_built_into_the_cache_once() -> None:
    first = instruction_counter()
    assert first.method is CountMethod.PLUGIN, first.reason
    assert first.plugin is not None
    assert [first.plugin] == list(cache_directory().iterdir())
    built = first.plugin.stat().st_mtime_ns
    instruction_counter.cache_clear()
    assert instruction_counter() == first
    assert first.plugin.stat().st_mtime_ns == built


def test_without_a_compiler_systick_counts_and_the_result_says_so(tmp_path, monkeypatch) -> None:
    firmware = build_firmware(
        write_aot_folder(tmp_path / "mcu", NEGATE), "toy", find_board("cortex-m4")
    )
    path_with(monkeypatch, tmp_path / "bin")
    samples = random_samples(2, 8)
    result = Qemu().run(firmware, samples, [int8_layout(8)])
    np.testing.assert_array_equal(result.outputs[1][0], -samples[1][0])
    assert result.count_method is CountMethod.ICOUNT
    assert "no C compiler" in result.count_note
    assert result.instructions is not None
    assert all(count < 200 for count in result.instructions)


def test_a_compiler_that_fails_is_quoted(tmp_path, monkeypatch) -> None:
    path_with(monkeypatch, tmp_path / "bin", cc="echo 'cc: no such standard' >&2; exit 1")
    counter = instruction_counter()
    assert counter.method is CountMethod.ICOUNT
    assert "cc: no such standard" in counter.reason
    assert list(cache_directory().iterdir()) == []


def test_a_qemu_without_plugins_is_quoted(tmp_path, monkeypatch) -> None:
    cc = shutil.which("cc")
    assert cc is not None
    real_path = Path(cc).parent
    path_with(
        monkeypatch,
        tmp_path / "bin",
        qemu='case "$*" in *-plugin*) echo "-plugin: invalid option" >&2; exit 1;; esac; '
        'echo "QEMU emulator version 7.2.0"',
        cc=f'PATH={real_path}:/usr/bin:/bin exec {cc} "$@"',
    )
    counter = instruction_counter()
    assert counter.method is CountMethod.ICOUNT
    assert "-plugin: invalid option" in counter.reason
    assert "7.2.0" in counter.reason

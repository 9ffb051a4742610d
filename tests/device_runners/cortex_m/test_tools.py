"""Which programs are installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import TidepoolError
from device_runners.cortex_m import require_tools, tool_status, tool_statuses
from device_runners.cortex_m.tools import ARM_GCC, CMAKE, NINJA, QEMU


def test_every_installed_tool_tells_its_version() -> None:
    for status in tool_statuses():
        assert status.found, status.hint
        assert status.version[0].isdigit()
        assert status.hint == ""


def test_a_missing_tool_comes_with_the_line_that_installs_it(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status = tool_status(QEMU)
    assert not status.found
    assert status.version == ""
    assert "apt-get install qemu-system-arm" in status.hint


def test_a_tool_that_does_not_start_counts_as_missing(monkeypatch, tmp_path: Path) -> None:
    program = tmp_path / NINJA
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not tool_status(NINJA).found


def test_all_missing_tools_are_one_error(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TidepoolError) as error:
        require_tools([ARM_GCC, CMAKE])
    assert ARM_GCC in error.value.message
    assert CMAKE in error.value.message
    assert "gcc-arm-none-eabi libnewlib-arm-none-eabi cmake" in error.value.hint

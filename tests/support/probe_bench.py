"""Puts the stand-ins for ``pyocd`` and ``openocd`` on the PATH."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_runners.cortex_m import probes

PYTHON = sys.executable
STAND_IN = Path(__file__).parent / "probe_stand_in.py"
PROBE = {"unique_id": "066EFF303435554157", "info": "STM32F446RE [nucleo]"}
OTHER_PROBE = {"unique_id": "1050296789", "info": "nRF52840 DK"}


@dataclass(frozen=True)
class Bench:
    """A desk with a board that QEMU plays.

    Attributes:
        folder: Where the programs lie; no others are found.
        flash: The file that stands for the flash.
        pid: The file with the process id of the last program.
    """

    folder: Path
    flash: Path
    pid: Path
    patch: pytest.MonkeyPatch

    def install(self, *names: str) -> None:
        for name in names:
            program = self.folder / name
            program.write_text(f'#!/bin/sh\nexec {PYTHON} {STAND_IN} {name} "$@"\n')
            program.chmod(0o755)

    def connect(self, *probes: dict[str, str]) -> None:
        self.patch.setenv("STAND_IN_PROBES", json.dumps(probes))

    def know(self, *targets: str) -> None:
        names = [{"name": name} for name in targets]
        self.patch.setenv("STAND_IN_TARGETS", json.dumps(names))

    def say(self, **words: str) -> None:
        for name, text in words.items():
            self.patch.setenv(f"STAND_IN_{name.upper()}", text)


def set_up_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A probe with a board whose chip's pack is there; neither program is installed yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    bench = Bench(folder, tmp_path / "flash.bin", tmp_path / "pid", monkeypatch)
    which = shutil.which

    def which_here(name: str) -> str | None:
        """Hides the machine's own programs: only the bench's are there."""
        return which(name, path=str(folder)) if name in ("pyocd", "openocd") else which(name)

    monkeypatch.setattr(probes.shutil, "which", which_here)
    # pyOCD is looked for beside Python, too.
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {PYTHON} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(probes.sys, "executable", str(python))
    monkeypatch.setenv("STAND_IN_FLASH", str(bench.flash))
    monkeypatch.setenv("STAND_IN_MACHINE", "netduinoplus2")
    monkeypatch.setenv("STAND_IN_PID", str(bench.pid))
    bench.connect(PROBE)
    bench.know("nrf52840", "stm32f446retx")
    return bench

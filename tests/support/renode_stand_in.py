"""A stand-in for ``renode``: reads our script and platform, and lets QEMU execute the firmware.

Run as a program. It understands what the scripts say and nothing else, refuses what doesn't hold
together (files, symbols, memory), writes log lines as Renode does, and like Renode doesn't end with
the firmware. The counts in its log are made up: nine instructions between the markers.

Environment: STAND_IN_MACHINE names QEMU's machine, STAND_IN_REFUSE a type that this "version"
lacks, STAND_IN_PID a file for the process's id.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from elftools.elf.elffile import ELFFile

_HOOK = re.compile(
    r'cpu AddHook `sysbus GetSymbolAddress "(?P<symbol>\w+)"` '
    r"\"self\.InfoLog\('tidepool (?P<marker>begin|end) ' \+ str\(self\.ExecutedInstructions\)\)\""
)


def log(level: str, text: str) -> None:
    print(f"12:00:00.0000 [{level}] {text}", flush=True)


def refuse(command: str, reason: str) -> None:
    print(f"There was an error executing command '{command}'\n{reason}", flush=True)
    wait_for_the_end()


def wait_for_the_end() -> None:
    while True:
        time.sleep(0.05)


def memory_of(platform: str) -> list[range]:
    pattern = r"(\w+): Memory\.MappedMemory @ sysbus (0x\w+)\n    size: (0x\w+)\n"
    regions = []
    for _, origin, size in re.findall(pattern, platform):
        regions.append(range(int(origin, 16), int(origin, 16) + int(size, 16)))
    return regions


class Machine:
    """What the script's lines set up."""

    def __init__(self, script: Path) -> None:
        self.origin = str(script.parent)
        self.memory: list[range] = []
        self.hooks: dict[str, str] = {}
        self.elf = self.folder = self.console = Path()
        self.vectors = -1
        for line in script.read_text().splitlines():
            if line and not line.startswith(("#", ":")):
                self.execute(line)

    def execute(self, line: str) -> None:
        words = line.replace("$ORIGIN", self.origin).split()
        match words:
            case ["mach", "create", _] | ["emulation", "SetAdvanceImmediately", "true"]:
                pass
            case ["machine", "LoadPlatformDescription", path]:
                self.load_platform(line, Path(path).read_text())
            case ["cpu.semihosting", "WorkingDirectory", path]:
                self.folder = Path(path)
            case ["cpu.semihosting.console", "CreateFileBackend", path, "true"]:
                self.console = Path(path)
            case ["sysbus", "LoadELF", path]:
                self.elf = Path(path)
            case ["cpu", "VectorTableOffset", address]:
                self.vectors = int(address, 16)
            case ["cpu", "AddHook", *_]:
                hook = _HOOK.fullmatch(line)
                if hook is None:
                    refuse("cpu AddHook", line)
                else:
                    self.hooks[hook["marker"]] = hook["symbol"]
            case ["start"]:
                self.start()
            case _:
                refuse(line, "No such command")

    def load_platform(self, line: str, platform: str) -> None:
        lacking = os.environ.get("STAND_IN_REFUSE", "")
        if lacking and lacking in platform:
            refuse(line, f"Error E11: Could not resolve type: 'CPU.{lacking}'.\nAt renode.repl:1:1")
        for needed in ("CPU.CortexM", "IRQControllers.NVIC", "CPU.SemihostingHandler"):
            if needed not in platform:
                refuse(line, f"{needed} is missing")
        self.memory = memory_of(platform)

    def start(self) -> None:
        with self.elf.open("rb") as file:
            elf = ELFFile(file)
            names = {each.name for each in elf.get_section_by_name(".symtab").iter_symbols()}
            sections = [each for each in elf.iter_sections() if each["sh_flags"] & 2]
            vectors = elf.get_section_by_name(".vectors")["sh_addr"]
        for section in sections:
            last = section["sh_addr"] + max(section["sh_size"], 1) - 1
            if not any(section["sh_addr"] in each and last in each for each in self.memory):
                refuse("start", f"no memory for {section.name}")
        if vectors != self.vectors or not names.issuperset(self.hooks.values()):
            refuse("start", "VectorTableOffset or a hook isn't of this firmware")
        self.emulate()

    def emulate(self) -> None:
        command = ["qemu-system-arm", "-machine", os.environ["STAND_IN_MACHINE"]]
        command += ["-display", "none", "-monitor", "none", "-serial", "none"]
        command += ["-chardev", f"file,id=console,path={self.console}"]
        command += ["-semihosting-config", "enable=on,target=native,chardev=console"]
        qemu = subprocess.Popen(
            [*command, "-kernel", str(self.elf)], cwd=self.folder, stdin=subprocess.DEVNULL
        )
        # Not a moment longer than Renode, and nothing left behind.
        signal.signal(signal.SIGTERM, lambda *_: (qemu.kill(), os._exit(0)))
        code = qemu.wait()
        ticks = self.folder / "ticks.bin"
        samples = ticks.stat().st_size // 4 if ticks.exists() else 0
        for sample in range(samples if len(self.hooks) == 2 else 0):
            log("INFO", f"cpu: tidepool begin {1000 * sample}")
            log("INFO", f"cpu: tidepool end {1000 * sample + 10}")
        reason = "ADP_Stopped_ApplicationExit(0x20026)"
        log("INFO", f"cpu.semihosting: Program exited with reason {reason} and return code {code}")


def main() -> None:
    if pid_file := os.environ.get("STAND_IN_PID"):
        Path(pid_file).write_text(str(os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    *options, script = sys.argv[1:]
    assert set(options) == {"--console", "--disable-gui", "--plain"}, options
    assert not sys.stdin.closed
    Machine(Path(script))
    wait_for_the_end()


if __name__ == "__main__":
    main()

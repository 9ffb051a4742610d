"""Stand-ins for ``pyocd`` and ``openocd``: their commands, with QEMU in the place of the board.

Run as a program whose name says which of the two it is. It takes the commands that the flash path
gives and refuses all others, "programs the flash" by keeping the ELF file, and runs what was
programmed on QEMU's machine with semihosting in the working folder. Like the real ones, pyocd
doesn't end with the firmware and openocd ends with its exit code.

Environment: STAND_IN_FLASH is the file that stands for the board's flash, STAND_IN_MACHINE names
QEMU's machine, STAND_IN_PROBES and STAND_IN_TARGETS list what pyocd knows, STAND_IN_SAYS makes it
fail with these words, STAND_IN_PID is a file for the process's id.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn


def fail(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    sys.exit(1)


def flash() -> Path:
    return Path(os.environ["STAND_IN_FLASH"])


def program(elf: str) -> None:
    if not Path(elf).read_bytes().startswith(b"\x7fELF"):
        fail(f"{elf} is no ELF file")
    shutil.copyfile(elf, flash())


def emulate() -> int:
    if not flash().exists():
        fail("nothing was programmed")
    command = ["qemu-system-arm", "-machine", os.environ["STAND_IN_MACHINE"]]
    command += ["-display", "none", "-monitor", "none", "-serial", "none", "-icount", "shift=0"]
    command += ["-chardev", "stdio,id=console"]
    command += ["-semihosting-config", "enable=on,target=native,chardev=console"]
    qemu = subprocess.Popen([*command, "-kernel", str(flash())], stdin=subprocess.DEVNULL)

    def interrupted(*_: object) -> NoReturn:
        qemu.kill()
        os._exit(0)

    signal.signal(signal.SIGINT, interrupted)
    return qemu.wait()


def pyocd(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        print("0.46.0")
        return
    if arguments[0] == "json":
        pyocd_json(arguments[1:])
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["load", "run"])
    parser.add_argument("--target", required=True)
    parser.add_argument("--no-wait", action="store_true", required=True)
    parser.add_argument("--no-config", action="store_true", required=True)
    parser.add_argument("--project", required=True, choices=["."])
    parser.add_argument("--probe", default="")
    parser.add_argument("-O", action="append", default=[])
    parser.add_argument("--no-reset", action="store_true")
    parser.add_argument("elf", nargs="?")
    given = parser.parse_intermixed_args(arguments)
    probes = [each["unique_id"] for each in json.loads(os.environ["STAND_IN_PROBES"])]
    if not any(given.probe in each for each in probes):
        fail(f"No connected debug probe matches unique ID '{given.probe}'")
    if given.verb == "load":
        assert given.no_reset and given.elf is not None
        program(given.elf)
        return
    assert "semihost_console_type=console" in given.O
    emulate()
    # SYS_EXIT_EXTENDED isn't served: the firmware asks again and again, and nothing ends.
    while True:
        time.sleep(0.05)


def pyocd_json(arguments: list[str]) -> None:
    key, variable = {
        "--probes": ("boards", "STAND_IN_PROBES"),
        "--targets": ("targets", "STAND_IN_TARGETS"),
    }[arguments[0]]
    if warning := os.environ.get("STAND_IN_WARNS"):
        print(warning, file=sys.stderr)
    print(json.dumps({"status": 0, key: json.loads(os.environ[variable])}))


def openocd(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        print("Open On-Chip Debugger 0.12.0", file=sys.stderr)
        return
    words = list(zip(arguments[::2], arguments[1::2], strict=True))
    assert {option for option, _ in words} == {"-f", "-c"}
    script = [word for option, word in words if option == "-c"]
    assert script[:3] == ["gdb_port disabled", "tcl_port disabled", "telnet_port disabled"]
    rest = [word for word in script[3:] if not word.startswith("adapter serial {")]
    match rest:
        case [load, "shutdown"] if found := re.fullmatch(r"program \{(.*)\} verify", load):
            program(found[1])
        case ["init", "reset halt", "arm semihosting enable", "resume"]:
            sys.exit(emulate())
        case _:
            fail(f"invalid command: {rest}")


def main() -> None:
    name, *arguments = sys.argv[1:]
    if pid_file := os.environ.get("STAND_IN_PID"):
        Path(pid_file).write_text(str(os.getpid()))
    words = os.environ.get("STAND_IN_SAYS")
    if words and arguments[0] not in ("--version", "json"):
        fail(words)
    {"pyocd": pyocd, "openocd": openocd}[name](arguments)


if __name__ == "__main__":
    main()

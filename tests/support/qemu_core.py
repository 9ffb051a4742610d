"""The debug registers of a Cortex-M, played on a core of QEMU through its gdb stub.

A debugger sees what silicon shows it: DHCSR, DCRSR, DCRDR, DEMCR, DFSR and AIRCR, a ROM table with
one system control space, and memory. ``BKPT 0xAB`` halts the core as it does there: QEMU's own
semihosting is off, and its breakpoints lie on these instructions.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile

DHCSR, DCRSR, DCRDR, DEMCR = 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xE000EDFC
DFSR, AIRCR, CPUID = 0xE000ED30, 0xE000ED0C, 0xE000ED00
FP_CTRL = 0xE0002000
DBGKEY, C_DEBUGEN, C_HALT, C_STEP = 0xA05F, 1, 2, 4
S_REGRDY, S_HALT = 1 << 16, 1 << 17
VC_CORERESET, SYSRESETREQ, VECTKEY = 1, 4, 0x5FA
DFSR_BKPT, DFSR_VCATCH = 2, 8
ROM_TABLE, SCS = 0xE00FF000, 0xE000E000
PC, XPSR, GDB_XPSR = 15, 16, 25
MARK = 0xFFFFFFF0

# A DPv1 of Arm, and the AHB-AP of a Cortex-M4.
DPIDR, AP_IDR = 0x2BA01477, 0x24770011
CTRL_STAT, POWER_REQUESTS = 0x4, 0x50000000
CSW, TAR, DRW, BANKED = 0x00, 0x04, 0x0C, 0x10
CSW_ENABLED, ADDRESS_INCREMENT, PACKED = 0x40, 0x30, 0x20

# CoreSight component and peripheral IDs: a ROM table, and the SCS of a Cortex-M4.
IDENTIFICATION = {
    ROM_TABLE: (SCS - ROM_TABLE) & 0xFFFFFFFF | 3,
    **dict(zip(range(ROM_TABLE + 0xFF0, ROM_TABLE + 0x1000, 4), (0xD, 0x10, 5, 0xB1), strict=True)),
    **dict(zip(range(ROM_TABLE + 0xFD0, ROM_TABLE + 0xFE4, 4), (4, 0, 0, 0, 0xC4), strict=True)),
    **dict(zip(range(ROM_TABLE + 0xFE4, ROM_TABLE + 0xFF0, 4), (0xB4, 0xB, 0), strict=True)),
    **dict(zip(range(SCS + 0xFF0, SCS + 0x1000, 4), (0xD, 0xE0, 5, 0xB1), strict=True)),
    **dict(zip(range(SCS + 0xFD0, SCS + 0xFE4, 4), (4, 0, 0, 0, 0x0C), strict=True)),
    **dict(zip(range(SCS + 0xFE4, SCS + 0xFF0, 4), (0xB0, 0xB, 0), strict=True)),
}


class GdbStub:
    """A client of QEMU's gdb stub."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self.buffer = b""

    def send(self, text: str) -> None:
        data = text.encode()
        self.socket.sendall(b"$%s#%02x" % (data, sum(data) & 0xFF))

    def packet(self, seconds: float | None) -> str | None:
        """The next packet, acknowledged; None when none comes in this time."""
        while True:
            start, end = self.buffer.find(b"$"), self.buffer.find(b"#")
            if 0 <= start < end and len(self.buffer) >= end + 3:
                text = self.buffer[start + 1 : end].decode("latin-1")
                self.buffer = self.buffer[end + 3 :]
                self.socket.sendall(b"+")
                return text
            self.socket.settimeout(seconds)
            try:
                received = self.socket.recv(65536)
            except (TimeoutError, BlockingIOError):
                return None
            if not received:
                raise ConnectionError("QEMU closed its gdb stub")
            self.buffer += received

    def ask(self, text: str) -> str:
        self.send(text)
        answer = self.packet(20)
        assert answer is not None, text
        return answer


class QemuCore:
    """A core with its debug registers.

    Attributes:
        asked_to_reset: How often the debugger reset it.
    """

    def __init__(self, stub: GdbStub, breakpoints: list[int]) -> None:
        self.stub = stub
        self.halted = True
        self.demcr = self.dfsr = self.dcrdr = self.fp_ctrl = self.debug_enabled = 0
        self.asked_to_reset = 0
        for address in breakpoints:
            assert stub.ask(f"Z0,{address:x},2") == "OK"

    def read(self, address: int, size: int) -> bytes:
        if size == 4 and (value := self._register(address)) is not None:
            return value.to_bytes(4, "little")
        if self.poll() or self._interrupt():
            return self._memory(address, size)
        # The stub answers of a halted core only; silicon's bus doesn't care.
        try:
            return self._memory(address, size)
        finally:
            self._go("c")

    def write(self, address: int, data: bytes) -> None:
        value = int.from_bytes(data, "little")
        if address == DHCSR:
            self._control(value)
        elif address == DCRSR:
            self._transfer(value)
        elif address == DCRDR:
            self.dcrdr = value
        elif address == DEMCR:
            self.demcr = value
        elif address == DFSR:
            self.dfsr &= ~value
        elif address == FP_CTRL:
            self.fp_ctrl = value & 1  # enabled or not: it has no comparators
        elif address == AIRCR:
            if value >> 16 == VECTKEY and value & SYSRESETREQ:
                self.reset()
        elif self.poll():
            self.stub.ask(f"M{address:x},{len(data):x}:{data.hex()}")

    def reset(self) -> None:
        self.asked_to_reset += 1
        if not self.poll():
            self._interrupt()
        # QEMU resets some time after its answer: the program counter shows when.
        self._set(PC, MARK)
        assert self.stub.ask("qRcmd," + b"system_reset".hex()) == "OK"
        while self._get(PC) == MARK:
            time.sleep(0.01)
        if self.demcr & VC_CORERESET and self.debug_enabled:
            self.dfsr |= DFSR_VCATCH
        else:
            self._go("c")

    def poll(self) -> bool:
        """Whether the core is halted."""
        if not self.halted and (stop := self.stub.packet(0)) is not None:
            self._stopped(stop)
        return self.halted

    def _interrupt(self) -> bool:
        """Halts a running core; says whether it had just halted at a breakpoint by itself."""
        self.stub.socket.sendall(b"\x03")
        stop = self.stub.packet(20)
        assert stop is not None
        return self._stopped(stop)

    def _stopped(self, stop: str) -> bool:
        self.halted = True
        at_breakpoint = stop.startswith("T05")
        if at_breakpoint:
            self.dfsr |= DFSR_BKPT
        return at_breakpoint

    def _register(self, address: int) -> int | None:
        if address == DHCSR:
            halt = S_HALT | C_HALT if self.poll() else 0
            return S_REGRDY | halt | self.debug_enabled
        own = {DCRSR: 0, DCRDR: self.dcrdr, DEMCR: self.demcr, DFSR: self.dfsr}
        own[FP_CTRL] = self.fp_ctrl
        return {**IDENTIFICATION, **own}.get(address)

    def _memory(self, address: int, size: int) -> bytes:
        answer = self.stub.ask(f"m{address:x},{size:x}")
        return bytes(size) if answer.startswith("E") else bytes.fromhex(answer)

    def _control(self, value: int) -> None:
        if value >> 16 != DBGKEY:
            return
        self.debug_enabled = value & C_DEBUGEN
        if value & C_HALT and not self.poll():
            self._interrupt()
        elif not value & C_HALT and self.poll():
            self._go("s" if value & C_STEP else "c")

    def _go(self, how: str) -> None:
        self.stub.send(how)
        self.halted = False

    def _transfer(self, value: int) -> None:
        number = value & 0x7F
        gdb = GDB_XPSR if number == XPSR else number
        if number > XPSR:
            self.dcrdr = 0
        elif value >> 16 & 1:
            self._set(gdb, self.dcrdr)
        else:
            self.dcrdr = self._get(gdb)

    def _get(self, register: int) -> int:
        return int.from_bytes(bytes.fromhex(self.stub.ask(f"p{register:x}")), "little")

    def _set(self, register: int, value: int) -> None:
        assert self.stub.ask(f"P{register:x}={value.to_bytes(4, 'little').hex()}") == "OK"


class MemAp:
    """The AHB-AP in front of a core's memory, as a Cortex-M4 has it.

    Registers are named by their number in the AP: CSW 0x00, TAR 0x04, DRW 0x0C, IDR 0xFC.
    """

    def __init__(self, core: QemuCore) -> None:
        self.core = core
        self.registers = {CSW: 0x43000052, TAR: 0, 0xF4: 0, 0xF8: ROM_TABLE | 3, 0xFC: AP_IDR}

    def read(self, register: int) -> int:
        if register == DRW:
            return self._access(None)
        if register & 0xF0 == BANKED:
            address = self.registers[TAR] & ~0xF | register & 0xF
            return int.from_bytes(self.core.read(address, 4), "little")
        return self.registers.get(register, 0)

    def write(self, register: int, data: int) -> None:
        if register == DRW:
            self._access(data)
        elif register & 0xF0 == BANKED:
            address = self.registers[TAR] & ~0xF | register & 0xF
            self.core.write(address, data.to_bytes(4, "little"))
        elif register == CSW:
            # Several bytes in one transfer are an option of the architecture: it hasn't got it.
            packed = data & ADDRESS_INCREMENT == PACKED
            self.registers[CSW] = (data ^ PACKED if packed else data) | CSW_ENABLED
        elif register == TAR:
            self.registers[TAR] = data

    def _access(self, data: int | None) -> int:
        """One transfer: at TAR, of CSW's size, in the byte lanes of the address."""
        address, size = self.registers[TAR], 1 << (self.registers[CSW] & 3)
        shift = 8 * (address & 3)
        result = 0
        if data is None:
            result = int.from_bytes(self.core.read(address, size), "little") << shift
        else:
            self.core.write(address, (data >> shift & (1 << 8 * size) - 1).to_bytes(size, "little"))
        if self.registers[CSW] & ADDRESS_INCREMENT:
            self.registers[TAR] = address & ~0xFFF | (address + size) & 0xFFF
        return result


@contextlib.contextmanager
def qemu_core(machine: str, elf: Path, folder: Path) -> Iterator[QemuCore]:
    """A core with empty memory; the firmware only says where its calls of the host will lie."""
    path = folder / "gdb.socket"
    command = ["qemu-system-arm", "-machine", machine, "-display", "none", "-monitor", "none"]
    command += ["-serial", "none", "-icount", "shift=0", "-S"]
    command += ["-chardev", f"socket,id=gdb,path={path},server=on,wait=off", "-gdb", "chardev:gdb"]
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        stub = GdbStub(path)
        stub.ask("?")
        # Only who has read this is told of single registers.
        stub.ask("qXfer:features:read:target.xml:0,ffb")
        yield QemuCore(stub, host_calls(elf))
    finally:
        qemu.kill()
        qemu.wait()


def host_calls(elf: Path) -> list[int]:
    """The addresses of all ``BKPT 0xAB``."""
    with elf.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".text")
        code, origin = section.data(), section["sh_addr"]
    return [
        origin + position
        for position in range(0, len(code) - 1, 2)
        if code[position : position + 2] == b"\xab\xbe"
    ]

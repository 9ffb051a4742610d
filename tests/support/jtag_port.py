"""A JTAG chain for OpenOCD's adapter ``remote_bitbang``, with a ``QemuCore`` at its end.

The chain has one device, the JTAG-DP of the Arm Debug Interface (ADIv5): an instruction register
of four bits, and data registers of 35 for accesses of the DP and its AP, whose results come with
the next scan.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

from support.qemu_core import CTRL_STAT, POWER_REQUESTS, MemAp, QemuCore

IDCODE_VALUE = 0x4BA00477
ABORT, DPACC, APACC, IDCODE = 0x8, 0xA, 0xB, 0xE
ACK_OK = 0b010
SELECT, RDBUFF = 0x8, 0xC

# Of each state of IEEE 1149.1: the next one with TMS at 0, and at 1.
STATES = {
    "reset": ("idle", "reset"),
    "idle": ("idle", "select dr"),
    "select dr": ("capture dr", "select ir"),
    "capture dr": ("shift dr", "exit1 dr"),
    "shift dr": ("shift dr", "exit1 dr"),
    "exit1 dr": ("pause dr", "update dr"),
    "pause dr": ("pause dr", "exit2 dr"),
    "exit2 dr": ("shift dr", "update dr"),
    "update dr": ("idle", "select dr"),
    "select ir": ("capture ir", "reset"),
    "capture ir": ("shift ir", "exit1 ir"),
    "shift ir": ("shift ir", "exit1 ir"),
    "exit1 ir": ("pause ir", "update ir"),
    "pause ir": ("pause ir", "exit2 ir"),
    "exit2 ir": ("shift ir", "update ir"),
    "update ir": ("idle", "select dr"),
}


class DebugPort:
    """The DP and its one AP, by accesses."""

    def __init__(self, core: QemuCore) -> None:
        self.ap = MemAp(core)
        self.select = self.power = self.result = 0

    def access(self, is_ap: bool, address: int, is_read: bool, data: int) -> None:
        if is_ap:
            if self.select >> 24:  # there is no other AP
                self.result = 0
            elif is_read:
                self.result = self.ap.read(self.select & 0xF0 | address)
            else:
                self.ap.write(self.select & 0xF0 | address, data)
        elif is_read:
            if address == CTRL_STAT:
                self.result = self.power | (self.power & POWER_REQUESTS) << 1
            elif address != RDBUFF:
                self.result = self.select if address == SELECT else 0
        elif address == SELECT:
            self.select = data
        elif address == CTRL_STAT and self.select & 0xF == 0:
            self.power = data


class Tap:
    """The test access port: its state, its instruction, and what is being shifted."""

    def __init__(self, port: DebugPort) -> None:
        self.port = port
        self.state = "reset"
        self.instruction = IDCODE
        self.shifted, self.length, self.clock = 0, 1, 0

    @property
    def tdo(self) -> int:
        return self.shifted & 1

    def drive(self, clock: int, tms: int, tdi: int) -> None:
        if clock and not self.clock:
            if self.state in ("shift dr", "shift ir"):
                self.shifted = self.shifted >> 1 | tdi << (self.length - 1)
            self.state = STATES[self.state][tms]
            self._enter()
        self.clock = clock

    def _enter(self) -> None:
        match self.state:
            case "reset":
                self.instruction = IDCODE
            case "capture ir":
                self.shifted, self.length = 1, 4
            case "update ir":
                self.instruction = self.shifted
            case "capture dr":
                self.shifted, self.length = {
                    IDCODE: (IDCODE_VALUE, 32),
                    DPACC: (self.port.result << 3 | ACK_OK, 35),
                    APACC: (self.port.result << 3 | ACK_OK, 35),
                    ABORT: (0, 35),
                }.get(self.instruction, (0, 1))
            case "update dr" if self.instruction in (DPACC, APACC):
                address = (self.shifted >> 1 & 3) << 2
                is_read = bool(self.shifted & 1)
                self.port.access(self.instruction == APACC, address, is_read, self.shifted >> 3)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, core: QemuCore) -> None:
        super().__init__(("localhost", 0), _Handler)
        self.tap = Tap(DebugPort(core))


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        tap = self.server.tap
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while received := self.request.recv(65536):
            for letter in received.decode():
                if letter in "01234567":
                    number = int(letter)
                    tap.drive(number >> 2, number >> 1 & 1, number & 1)
                elif letter == "R":
                    self.request.sendall(b"%d" % tap.tdo)
                elif letter == "Q":
                    return


@contextlib.contextmanager
def jtag_port(core: QemuCore) -> Iterator[int]:
    """Serves the chain; yields the port's number."""
    with _Server(core) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()

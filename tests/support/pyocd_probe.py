"""A debug probe for pyOCD, at whose other end a ``QemuCore`` is: DP, one AHB-AP, memory.

pyOCD's own commands reach it as ``--probe remote:localhost:PORT``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyocd.core.session import Session
from pyocd.probe.debug_probe import DebugProbe
from pyocd.probe.tcp_probe_server import DebugProbeServer
from support.qemu_core import CTRL_STAT, DPIDR, POWER_REQUESTS, MemAp, QemuCore


class QemuProbe(DebugProbe):
    """The probe."""

    def __init__(self, core: QemuCore) -> None:
        super().__init__()
        self.core = core
        self.mutex = threading.RLock()
        self.protocol: DebugProbe.Protocol | None = None
        self.opened = False
        self.dp = {0: DPIDR, CTRL_STAT: 0}
        self.ap = MemAp(core)

    vendor_name = "Tidepool"
    product_name = description = "QEMU"
    unique_id = "qemu"
    supported_wire_protocols = (DebugProbe.Protocol.DEFAULT, DebugProbe.Protocol.SWD)
    capabilities = frozenset(
        {
            DebugProbe.Capability.MANAGED_AP_SELECTION,
            DebugProbe.Capability.MANAGED_DPBANKSEL,
            DebugProbe.Capability.BANKED_DP_REGISTERS,
        }
    )
    associated_board_info = None

    @property
    def wire_protocol(self) -> DebugProbe.Protocol | None:
        return self.protocol

    @property
    def is_open(self) -> bool:
        return self.opened

    def open(self) -> None:
        self.opened = True

    def close(self) -> None:
        self.opened = False

    def lock(self) -> None:
        """One client at a time is all there is."""

    def unlock(self) -> None:
        """See ``lock``."""

    def connect(self, protocol: DebugProbe.Protocol | None = None) -> None:
        self.protocol = DebugProbe.Protocol.SWD

    def disconnect(self) -> None:
        self.protocol = None

    def set_clock(self, frequency: float) -> None:
        """Any will do."""

    def flush(self) -> None:
        """Nothing is queued."""

    def reset(self) -> None:
        self.core.reset()

    def assert_reset(self, asserted: bool) -> None:
        if asserted:
            self.core.reset()

    def is_reset_asserted(self) -> bool:
        return False

    def read_dp(self, addr: int, now: bool = True) -> Any:
        value = self.dp.get(addr, 0)
        if addr == CTRL_STAT:
            # Each power-up request is granted.
            value |= (value & POWER_REQUESTS) << 1
        return _now(value, now)

    def write_dp(self, addr: int, data: int) -> None:
        if addr == CTRL_STAT:
            self.dp[addr] = data

    def read_ap(self, addr: int, now: bool = True) -> Any:
        return _now(self._read_ap(addr), now)

    def write_ap(self, addr: int, data: int) -> None:
        if addr >> 24 == 0:  # there is no other AP
            self.ap.write(addr & 0xFF, data)

    def read_ap_multiple(self, addr: int, count: int = 1, now: bool = True) -> Any:
        return _now([self._read_ap(addr) for _ in range(count)], now)

    def write_ap_multiple(self, addr: int, values: Sequence[int]) -> None:
        for value in values:
            self.write_ap(addr, value)

    def _read_ap(self, addr: int) -> int:
        return self.ap.read(addr & 0xFF) if addr >> 24 == 0 else 0


def _now(value: Any, now: bool) -> Any | Callable[[], Any]:
    return value if now else lambda: value


@contextlib.contextmanager
def served(core: QemuCore) -> Iterator[str]:
    """Serves a probe; yields the ID by which pyOCD finds it."""
    server = DebugProbeServer(Session(None, no_config=True), QemuProbe(core), 0)
    server.start()
    while server.port == 0:  # it learns its port on a thread of its own
        time.sleep(0.01)
    try:
        yield f"remote:localhost:{server.port}"
    finally:
        server.stop()

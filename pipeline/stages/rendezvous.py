"""The processes of a training wait for each other before TensorFlow does.

TensorFlow's own wait lasts an hour, can't be interrupted and doesn't say for whom. So the chief
listens at its address first, the others report there, and when all are present it lets them go on
to TensorFlow, which then uses the same address.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence

from converters.errors import TidepoolError

_GREETING = b"tidepool %d\n"
_READY = b"?\n"
_YES = b"y\n"
_GO = b"!\n"
_PAUSE_SECONDS = 0.3
_READ_SECONDS = 5.0

_HINT = "start all processes at about the same time, and let them reach the chief's address"


def meet(addresses: Sequence[str], rank: int, time_limit: float) -> None:
    """Returns when all processes are there.

    Args:
        addresses: ``host:port`` of all of them, the chief's first.
        rank: Which of them this one is.
        time_limit: Seconds to wait.

    Raises:
        TidepoolError: The process's port is taken, or another one isn't there in time: the message
            names it.
    """
    deadline = time.monotonic() + time_limit
    _, port = _host_port(addresses[rank])
    try:
        listener = _listener(port)
    except OSError as error:
        raise TidepoolError(
            f"port {port} of this machine can't be used: {os.strerror(error.errno or 0)}",
            hint="is another process using it? choose other ports in TF_CONFIG",
        ) from None
    with listener:
        if rank == 0:
            _receive(listener, addresses, deadline, time_limit)
    if rank != 0:
        _report(addresses[0], rank, deadline, time_limit)


def _receive(
    listener: socket.socket, addresses: Sequence[str], deadline: float, time_limit: float
) -> None:
    present: dict[int, socket.socket] = {}
    try:
        while len(present) < len(addresses) - 1:
            listener.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                absent = [a for r, a in enumerate(addresses) if r and r not in present]
                raise TidepoolError(
                    f"{', '.join(absent)} didn't join the training within {time_limit:.0f} s",
                    hint=_HINT,
                ) from None
            rank = _greeted(connection, len(addresses))
            if rank is None:
                connection.close()
                continue
            if rank in present:  # it was started again
                present[rank].close()
            present[rank] = connection
            if len(present) == len(addresses) - 1:
                # Some may have ended while they waited.
                present = {r: c for r, c in present.items() if _asked(c, _READY) == _YES}
        for connection in present.values():
            # The other side closes first, so that this port is free at once.
            _asked(connection, _GO)
    finally:
        for connection in present.values():
            connection.close()


def _asked(connection: socket.socket, question: bytes) -> bytes:
    """The answer of a process; nothing if it has gone."""
    try:
        connection.sendall(question)
        return connection.recv(len(_YES))
    except OSError:
        return b""


def _listener(port: int) -> socket.socket:
    # As TensorFlow will: at all of the machine's addresses.
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _greeted(connection: socket.socket, count: int) -> int | None:
    """The rank of a process that reports; None for anybody else."""
    connection.settimeout(_READ_SECONDS)
    try:
        word, _, rank = connection.recv(64).strip().partition(b" ")
    except OSError:
        return None
    known = word == _GREETING.split()[0] and rank.isdigit() and 0 < int(rank) < count
    return int(rank) if known else None


def _report(chief: str, rank: int, deadline: float, time_limit: float) -> None:
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TidepoolError(
                f"nobody waits at {chief}, the chief's address, for {time_limit:.0f} s",
                hint=_HINT,
            )
        try:
            with socket.create_connection(_host_port(chief), timeout=min(left, 5.0)) as connection:
                connection.sendall(_GREETING % rank)
                connection.settimeout(left + _READ_SECONDS)
                while (said := connection.recv(len(_GO))) == _READY:
                    connection.sendall(_YES)
                if said == _GO:
                    return
        except OSError:
            pass
        time.sleep(_PAUSE_SECONDS)


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)

"""Addresses for processes that talk to each other on this machine."""

from __future__ import annotations

import socket


def free_addresses(count: int) -> list[str]:
    """Addresses of the loopback whose ports were free a moment ago."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()

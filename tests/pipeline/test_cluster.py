"""Who takes part in a training on several machines, and how the processes meet."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from support.loopback import free_addresses

from converters.errors import TidepoolError
from pipeline.stages.cluster import read_member
from pipeline.stages.rendezvous import meet


def config(kind: str, index: int, **cluster: list[str]) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_first_worker_is_the_chief() -> None:
    first = read_member(config("worker", 0, worker=["a:1", "b:2"]))
    second = read_member(config("worker", 1, worker=["a:1", "b:2"]))
    assert first.is_chief and not second.is_chief
    assert first.addresses == second.addresses == ("a:1", "b:2")
    assert str(second) == "process 2 of 2 (b:2)"


def test_chief_comes_before_the_workers() -> None:
    worker = read_member(config("worker", 0, worker=["a:1", "b:2"], chief=["c:3"]))
    assert worker.addresses == ("c:3", "a:1", "b:2")
    assert worker.rank == 1 and not worker.is_chief
    assert read_member(config("chief", 0, worker=["a:1"], chief=["c:3"])).is_chief


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "isn't set"),
        ("", "isn't set"),
        ("{", "isn't JSON"),
        ("[]", "lacks its cluster"),
        ('{"cluster": {"worker": ["a:1"]}}', "lacks its cluster or its task"),
        (config("worker", 1, worker=["a:1"]), "has the task worker 1, but 1 of this kind"),
        (config("chief", 0, worker=["a:1"]), "a task 'chief' that no job lists"),
        (config("worker", 0, worker=["a:1"], ps=["b:1"]), "has a job 'ps'"),
        (config("worker", 0, worker=["a"]), "address 'a', which is no host:port"),
        (config("worker", 0, worker=["a:1", "a:1"]), "two processes the same address"),
        (config("chief", 0, chief=["a:1", "b:1"], worker=["c:1"]), "but 2 of this kind"),
    ],
)
def test_invalid_cluster_is_refused_with_an_example(text: str | None, message: str) -> None:
    with pytest.raises(TidepoolError, match=message) as caught:
        read_member(text)
    assert '"cluster": {"worker": [' in caught.value.hint


def meet_in_threads(addresses: list[str], ranks: list[int]) -> list[threading.Thread]:
    threads = [threading.Thread(target=meet, args=(addresses, rank, 20.0)) for rank in ranks]
    for thread in threads:
        thread.start()
    return threads


def connected(address: str) -> socket.socket:
    """A connection to somebody who is about to listen."""
    host, port = address.split(":")
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=10)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_processes_go_on_when_all_are_there() -> None:
    addresses = free_addresses(3)
    waiting = meet_in_threads(addresses, [1, 0])
    stranger = connected(addresses[0])
    stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
    waiting[1].join(1.0)
    assert all(thread.is_alive() for thread in waiting)
    for thread in meet_in_threads(addresses, [2]) + waiting:
        thread.join(20)
        assert not thread.is_alive()
    stranger.close()
    # TensorFlow listens there next.
    socket.create_server(("127.0.0.1", int(addresses[0].split(":")[1]))).close()


def test_process_that_ended_while_it_waited_is_waited_for_again() -> None:
    addresses = free_addresses(3)
    (chief,) = meet_in_threads(addresses, [0])
    gone = connected(addresses[0])
    gone.sendall(b"tidepool 1\n")
    gone.close()
    (other,) = meet_in_threads(addresses, [2])
    other.join(1.5)
    assert chief.is_alive() and other.is_alive()
    for thread in [*meet_in_threads(addresses, [1]), other, chief]:
        thread.join(20)
        assert not thread.is_alive()


def test_absent_process_is_named() -> None:
    addresses = free_addresses(2)
    with pytest.raises(TidepoolError, match=f"{addresses[1]} didn't join"):
        meet(addresses, 0, 0.2)
    with pytest.raises(TidepoolError, match=f"nobody waits at {addresses[0]}"):
        meet(addresses, 1, 0.2)


def test_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TidepoolError, match=f"port {port} .* Address already in use"):
            meet([f"127.0.0.1:{port}", "127.0.0.1:1"], 0, 1.0)

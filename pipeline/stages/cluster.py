"""The processes of a training on several machines: who they are, and how they come together.

Every process is started with the same command and with its own ``TF_CONFIG``, TensorFlow's way to
describe a cluster. The chief (the task ``chief``, else worker 0) keeps the results; the others
train along, write to a temporary folder, and are done when the training is.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from pipeline.listener import Listener
from pipeline.settings import QatMode, QatStrategy, Settings
from pipeline.stages.rendezvous import meet

JOIN_SECONDS = 300.0
"""How long a process waits for the others to be started."""

_EXAMPLE = (
    "on the first of two machines: "
    'TF_CONFIG=\'{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}\'; the same with "index": 1 on the second'
)


@dataclass(frozen=True)
class Member:
    """A process of a cluster.

    Attributes:
        addresses: ``host:port`` of all processes, the chief's first.
        rank: The place of this one among them.
    """

    addresses: tuple[str, ...]
    rank: int

    @property
    def is_chief(self) -> bool:
        """Whether this process keeps the results."""
        return self.rank == 0

    def __str__(self) -> str:
        return f"process {self.rank + 1} of {len(self.addresses)} ({self.addresses[self.rank]})"


class Assisted(Exception):  # noqa: N818 (no error: the end of a process that isn't the chief)
    """This process has done its part of a training; the chief goes on alone."""


def read_member(text: str | None) -> Member:
    """Understands ``TF_CONFIG``.

    Args:
        text: The variable's value; None if it isn't set.

    Raises:
        TidepoolError: It isn't set, or describes no cluster that can train.
    """
    if not text:
        raise TidepoolError(
            "the strategy multiworker needs the variable TF_CONFIG, which isn't set",
            hint=f"set it for every process, {_EXAMPLE}",
        )
    try:
        content = json.loads(text)
        jobs = {str(job): list(hosts) for job, hosts in content["cluster"].items()}
        kind, index = content["task"]["type"], int(content["task"]["index"])
    except json.JSONDecodeError as error:
        raise _invalid(f"isn't JSON: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _invalid("lacks its cluster or its task") from None
    others = set(jobs) - {"chief", "worker"}
    if others or kind not in jobs:
        named = f"a job '{min(others)}'" if others else f"a task '{kind}' that no job lists"
        raise _invalid(f"has {named}; every process must be a worker, or the one chief")
    addresses = [
        (job, place) for job in ("chief", "worker") for place in range(len(jobs.get(job, ())))
    ]
    if (kind, index) not in addresses or len(jobs.get("chief", ())) > 1:
        raise _invalid(f"has the task {kind} {index}, but {len(jobs[kind])} of this kind")
    hosts = tuple(str(jobs[job][place]) for job, place in addresses)
    for host in hosts:
        name, _, port = host.rpartition(":")
        if not name or not port.isdecimal():
            raise _invalid(f"has the address '{host}', which is no host:port")
    if len(set(hosts)) != len(hosts):
        raise _invalid("gives two processes the same address")
    return Member(hosts, addresses.index((kind, index)))


def _invalid(what: str) -> TidepoolError:
    return TidepoolError(f"the variable TF_CONFIG {what}", hint=f"set it as here, {_EXAMPLE}")


@contextmanager
def joined(settings: Settings, listener: Listener) -> Iterator[Settings]:
    """Meets the other processes, if there are to be any; a run goes inside.

    TensorFlow wants this before anything else is done with it. In a process other than the chief
    the run writes to a temporary folder, and ends here when the training does.

    Yields:
        The settings for the run.

    Raises:
        TidepoolError: ``TF_CONFIG`` isn't valid, or the processes don't find each other.
    """
    if settings.qat.strategy is not QatStrategy.MULTIWORKER or settings.qat.mode is QatMode.OFF:
        yield settings
        return
    if settings.qat.mode is QatMode.AUTO:
        raise TidepoolError(
            "the strategy multiworker can't go with --qat auto: the processes would have to agree "
            "on whether to train",
            hint="convert without --qat first; if the gate fails, train with --qat on",
        )
    member = current_member()
    with listener.stage(f"joining the training as {member}"):
        connect()
    if member.is_chief:
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="tidepool-") as folder:
        try:
            yield settings.model_copy(update={"build_directory": Path(folder)})
        except Assisted:
            listener.note(f"{member} has done its part; the chief, {member.addresses[0]}, converts")


def strategy_of(kind: QatStrategy) -> Any:
    """The ``tf.distribute`` strategy of a training.

    ``mirrored`` takes all GPUs of this machine, or without one the CPU: one replica.

    Raises:
        TidepoolError: As ``connect``.
    """
    if kind is QatStrategy.MULTIWORKER:
        return connect()
    import tensorflow as tf

    if kind is QatStrategy.MIRRORED:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(kind: QatStrategy) -> bool:
    """Whether this process keeps the results of a training."""
    return kind is not QatStrategy.MULTIWORKER or current_member().is_chief


def current_member() -> Member:
    """This process, as ``TF_CONFIG`` describes it.

    Raises:
        TidepoolError: The variable isn't set, or isn't valid.
    """
    return read_member(os.environ.get("TF_CONFIG"))


@cache
def connect() -> Any:
    """The ``MultiWorkerMirroredStrategy`` of this process, which has one.

    Raises:
        TidepoolError: The others aren't there in time, or a port is taken.
    """
    member = current_member()
    meet(member.addresses, member.rank, JOIN_SECONDS)
    import tensorflow as tf

    try:
        # No time limit for the collectives: TensorFlow has a thread sleep through it for each of
        # them, which is tens of thousands. A process that ends is noticed by its heartbeat.
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise TidepoolError(
            f"{member} can't join the training: {_first_line(error)}",
            hint="is the port free, and the address one of this machine?",
        ) from None


@contextmanager
def watched(kind: QatStrategy) -> Iterator[None]:
    """Steps that processes train together: the loss of one is told as such.

    Raises:
        TidepoolError: Another process ended, or doesn't answer any more.
    """
    import tensorflow as tf

    lost = (
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.UnavailableError,
    )
    try:
        yield
    except lost as error:
        if kind is not QatStrategy.MULTIWORKER:
            raise
        raise TidepoolError(
            f"{current_member()} lost another process of the training: {_first_line(error)}",
            hint="look at what the others said; started again, all of them go on from the last "
            "whole epoch",
        ) from None


def _first_line(error: Exception) -> str:
    """What TensorFlow says, without the trace of the graph that it puts before it."""
    text = str(error.args[-1] if error.args else error)
    lines = [line.strip() for line in str(getattr(error, "message", text)).splitlines()]
    said = [line for line in lines if line.startswith("Collective ops is aborted")]
    return (said or [line for line in lines if line] or [type(error).__name__])[0].rstrip(":")

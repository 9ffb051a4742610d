"""Kernels by chance: each layer takes one of those that are exact on it, the slow ones too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np

from device_runners.cgen import choice


@contextmanager
def any_kernel(seed: int) -> Iterator[None]:
    """Inside of it, what a call costs is random, but the same whenever it is asked for."""
    rng = np.random.default_rng(seed)
    costs: dict[str, float] = {}

    def cost(call: choice.KernelCall) -> float:
        return costs.setdefault(f"{call.function} {call.params}", float(rng.random()))

    with mock.patch.object(choice, "instructions", cost):
        yield

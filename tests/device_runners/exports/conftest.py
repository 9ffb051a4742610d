"""Packages of small models, built once."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.export_packages import small_package

from device_runners.exports import Package, Runtime


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, Runtime], Package]:
    """Two models of different weights, for both runtimes."""
    scratch: Path = tmp_path_factory.mktemp("packages")
    return {
        (name, runtime): small_package(name, runtime, scratch, seed)
        for seed, name in enumerate(("one", "two"))
        for runtime in Runtime
    }

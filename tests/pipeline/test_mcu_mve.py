"""Kernels of level ``mve`` on the emulated Cortex-M55: random layers, every tensor is exact."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.emulated_layers import assert_exact


def test_random_layers_are_exact_on_the_cortex_m55(tmp_path: Path) -> None:
    assert_exact(300, "cortex-m55", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(301, 313))
def test_many_random_layers_are_exact_on_the_cortex_m55(seed: int, tmp_path: Path) -> None:
    assert_exact(seed, "cortex-m55", tmp_path)

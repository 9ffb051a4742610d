"""Random graphs over all operators on emulated cores, each with the kernels of its level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.emulated_layers import assert_graph_exact
from support.more_graphs import make_any_graph


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("first", [0, 5])
def test_random_graphs_are_exact_on_the_core(core: str, first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 5):
        print(f"seed {seed}")
        rng = np.random.default_rng(seed)
        assert_graph_exact(make_any_graph(rng), rng, core, tmp_path / str(seed))

"""Kernels of level ``dsp`` on emulated cores: random layers are exact, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.emulated_layers import assert_exact

from pipeline.stages import mcu


def test_random_layers_are_exact_on_the_cortex_m4(tmp_path: Path) -> None:
    assert_exact(100, "cortex-m4", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33"])
@pytest.mark.parametrize("seed", range(101, 105))
def test_random_layers_are_exact_on_cores_with_the_dsp_extension(
    core: str, seed: int, tmp_path: Path
) -> None:
    assert_exact(seed, core, tmp_path)


def test_the_board_decides_what_the_kernels_are_written_for() -> None:
    assert mcu.isa_of("cortex-m3") == "scalar"
    assert mcu.isa_of("cortex-m4") == mcu.isa_of("cortex-m33") == "dsp"
    assert mcu.isa_of("cortex-m55") == "mve"

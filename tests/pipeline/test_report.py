from __future__ import annotations

import pytest

from pipeline.report import PassReport


@pytest.mark.parametrize(
    ("macs", "arena_bytes", "weights_bytes", "told"),
    [
        (
            3_714_980,
            0,
            200_208,
            ": 3,714,980 multiply-accumulates, 200,208 bytes of constants less",
        ),
        (0, 7_520, 0, ": 7,520 bytes of arena less"),
        (0, 0, 0, ""),
    ],
)
def test_a_pass_tells_what_went(macs: int, arena_bytes: int, weights_bytes: int, told: str) -> None:
    one = PassReport(
        name="dead_channels",
        text="left out 960 filters",
        operators=20,
        macs=macs,
        arena_bytes=arena_bytes,
        weights_bytes=weights_bytes,
    )
    assert one.told() == "left out 960 filters" + told

from __future__ import annotations

import json
from pathlib import Path

import bars
import pytest

from converters.errors import ExitCode, TidepoolError
from device_runners.cgen import Isa
from device_runners.cortex_m import CORES
from pipeline.stages.mcu import isa_of

_BASELINE = {
    "instructions": {"cortex-m7": {"kws": 1000}, "cortex-m55": {"kws": 500}},
    "arena_bytes": {"cortex-m4": {"kws": 22820}, "cortex-m55": {"kws": 27348}},
    "text_bytes": {"cortex-m4": {"kws": 2000}},
}


def standing(core: str, isa: Isa, figure: str, value: int) -> bars.Standing:
    found = bars.bars_of("kws", core, isa, _BASELINE)
    (bar,) = (bar for bar in found if bar.figure == figure)
    return bars.Standing(bar, value)


@pytest.mark.parametrize(
    ("core", "isa", "most", "whose"),
    [
        ("cortex-m7", Isa.DSP, 370, "TFLM + CMSIS-NN on cortex-m7"),
        ("cortex-m55", Isa.MVE, 210, "TFLM + CMSIS-NN on cortex-m55"),
        ("cortex-m3", Isa.SCALAR, 19_368_266, "TFLM's reference kernels on cortex-m4"),
    ],
)
def test_instructions_are_held_against_the_kernels_of_the_level(
    core: str, isa: Isa, most: int, whose: str
) -> None:
    assert standing(core, isa, "instructions", most).held
    assert not standing(core, isa, "instructions", most + 1).held
    assert standing(core, isa, "instructions", most).bar.whose == whose


def test_arena_and_text_have_the_same_bar_on_every_core() -> None:
    for core, isa in (("cortex-m3", Isa.SCALAR), ("cortex-m55", Isa.MVE)):
        assert standing(core, isa, "arena_bytes", 10_000).held
        assert not standing(core, isa, "arena_bytes", 10_001).held
        assert standing(core, isa, "text_bytes", 700).held
        assert not standing(core, isa, "text_bytes", 701).held


def test_a_cell_has_the_figure_its_ratio_and_the_bar() -> None:
    held = standing("cortex-m7", Isa.DSP, "instructions", 358)
    assert held.cell() == "[green]358 0.358 ≤ 0.37[/]"
    missed = standing("cortex-m55", Isa.MVE, "arena_bytes", 10_496)
    assert missed.cell() == "[red]10,496 > 10,000[/]"


def test_json_says_the_bar_and_whether_it_is_held() -> None:
    found = standing("cortex-m55", Isa.MVE, "instructions", 333).as_json()
    assert (found["ratio"], found["bar"], found["bar_is"], found["held"]) == (
        0.666,
        0.42,
        "ratio",
        False,
    )
    found = standing("cortex-m55", Isa.MVE, "arena_bytes", 8_688).as_json()
    assert (found["bar"], found["bar_is"], found["held"]) == (10_000, "bytes", True)


def test_all_misses_are_named_in_one_error() -> None:
    figures = {
        ("cortex-m7", "kws"): [standing("cortex-m7", Isa.DSP, "instructions", 371)],
        ("cortex-m55", "kws"): [
            standing("cortex-m55", Isa.MVE, "instructions", 210),
            standing("cortex-m55", Isa.MVE, "arena_bytes", 12_000),
        ],
    }
    with pytest.raises(TidepoolError) as caught:
        bars.require_held(figures)
    assert caught.value.exit_code == ExitCode.BUDGET
    assert caught.value.message.splitlines() == [
        "2 figures miss their bars:",
        "  kws on cortex-m7: 371 instructions (0.371), at most 370 "
        "(0.37 of TFLM + CMSIS-NN on cortex-m7)",
        "  kws on cortex-m55: 12,000 arena_bytes (0.439), at most 10,000",
    ]
    del figures["cortex-m7", "kws"], figures["cortex-m55", "kws"][1]
    bars.require_held(figures)


def test_every_emulated_core_has_bars_for_every_model(mlperf_tiny: Path) -> None:
    baseline = json.loads((mlperf_tiny / "tflm_baseline.json").read_text())
    for core in CORES:
        for model in baseline["models"]:
            found = bars.bars_of(model, core, isa_of(core), baseline)
            assert all(0 < bar.limit < bar.reference for bar in found)

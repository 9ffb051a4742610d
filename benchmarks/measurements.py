"""What ``mcu.py`` measured: one model on one emulated core, beside its bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bars import Bar, Standing
from per_layer import LayerCount

from device_runners.cgen import Isa
from pipeline.report import EmulationReport

_FIGURES = ("instructions", "arena_bytes", "text_bytes", "rodata_bytes", "stack_bytes")


@dataclass(frozen=True)
class Measured:
    """One model on one core.

    Attributes:
        model: Its short name.
        core: The core.
        isa: Its level.
        report: What the emulation gave.
        bars: What it may take.
        expected_crc32: Of the outputs, by the baseline.
        layers: What each layer took; empty if they weren't counted.
    """

    model: str
    core: str
    isa: Isa
    report: EmulationReport
    bars: tuple[Bar, ...]
    expected_crc32: str
    layers: tuple[LayerCount, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the outputs are the reference's, on this machine and the baseline's."""
        return self.report.bit_exact and self.report.output_crc32 == self.expected_crc32

    @property
    def standings(self) -> tuple[Standing, ...]:
        """The figures that have a bar."""
        return tuple(Standing(bar, getattr(self.report, bar.figure)) for bar in self.bars)

    @property
    def counts_for_m4(self) -> bool:
        """Whether a Cortex-M4 has all the instructions, so that its cycles can be estimated."""
        return self.isa is not Isa.MVE

    @property
    def estimated_cycles(self) -> int | None:
        """What the instructions would take on a Cortex-M4, by its published timing."""
        return self.report.estimated_cycles if self.counts_for_m4 else None

    def as_json(self) -> dict[str, Any]:
        """``mcu.json`` of this model and core."""
        return {
            "bit_exact": self.report.bit_exact,
            "output_crc32": self.report.output_crc32,
            "expected_crc32": self.expected_crc32,
            **{figure: getattr(self.report, figure) for figure in _FIGURES},
            "estimated_cycles": self.estimated_cycles,
            "bars": {one.bar.figure: one.as_json() for one in self.standings},
        }

    def layers_as_json(self) -> list[dict[str, Any]]:
        """``layers.json`` of this model and core."""
        return [layer.as_json(estimate=self.counts_for_m4) for layer in self.layers]

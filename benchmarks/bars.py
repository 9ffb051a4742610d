"""The bars of the benchmark: what one inference may take at most, and how a measurement stands.

MLPerf Tiny's four models, each figure against what TFLM takes: instructions against its kernels
of the core's level, text against its text on the Cortex-M4, arenas in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converters.errors import ExitCode, TidepoolError
from device_runners.cgen import Isa

_M4 = "cortex-m4"
_CMSIS_NN = "TFLM + CMSIS-NN"
_REFERENCE_KERNELS = "TFLM's reference kernels"

_INSTRUCTIONS: Mapping[Isa, Mapping[str, float]] = {
    Isa.SCALAR: {"ad": 0.45, "ic": 0.45, "kws": 0.45, "vww": 0.45},
    Isa.DSP: {"ad": 0.45, "ic": 0.40, "kws": 0.37, "vww": 0.19},
    Isa.MVE: {"ad": 0.42, "ic": 0.45, "kws": 0.42, "vww": 0.22},
}
"""Ratios to TFLM + CMSIS-NN on the core; for cores without DSP extension to _ON_REFERENCE."""

_ON_REFERENCE = {"ad": 1_952_329, "ic": 107_403_212, "kws": 43_040_593, "vww": 100_250_934}
"""Instructions of TFLM's reference kernels on the Cortex-M4; upstream has no faster ones for M3."""

_ARENA_BYTES = {"ad": 768, "ic": 36_000, "kws": 10_000, "vww": 40_000}

_TEXT = 0.35
"""Ratio to the text of TFLM + CMSIS-NN on the Cortex-M4, on every core."""


@dataclass(frozen=True)
class Bar:
    """What a figure may be at most.

    Attributes:
        figure: ``instructions``, ``arena_bytes`` or ``text_bytes``.
        limit: The largest value that holds it.
        ratio: The same as a ratio to ``reference``, where the bar is one; None for plain bytes.
        reference: What TFLM takes.
        whose: Which TFLM that is.
    """

    figure: str
    limit: float
    ratio: float | None
    reference: int
    whose: str

    def text(self) -> str:
        """The bar in the unit that it was set in."""
        return f"{self.limit:,.0f}" if self.ratio is None else f"{self.ratio:.2f}"


@dataclass(frozen=True)
class Standing:
    """A measured figure beside its bar."""

    bar: Bar
    value: int

    @property
    def ratio(self) -> float:
        """What it takes over what TFLM takes."""
        return self.value / self.bar.reference

    @property
    def held(self) -> bool:
        return self.value <= self.bar.limit

    def cell(self) -> str:
        """A table's cell: the figure, its ratio, and the bar; rich's markup, green or red."""
        ratio = "" if self.bar.ratio is None else f"{self.ratio:.3f} "
        sign, colour = ("≤", "green") if self.held else (">", "red")
        return f"[{colour}]{self.value:,} {ratio}{sign} {self.bar.text()}[/]"

    def as_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "ratio": round(self.ratio, 4),
            "reference": self.bar.reference,
            "whose": self.bar.whose,
            "bar": self.bar.limit if self.bar.ratio is None else self.bar.ratio,
            "bar_is": "bytes" if self.bar.ratio is None else "ratio",
            "held": self.held,
        }


def bars_of(
    model: str, core: str, isa: Isa, baseline: Mapping[str, Mapping[str, Mapping[str, int]]]
) -> tuple[Bar, ...]:
    """The bars of a model on a core.

    Args:
        model: One of MLPerf Tiny's four.
        core: An emulated core.
        isa: Its level.
        baseline: ``tflm_baseline.json``: figure -> core -> model.
    """
    if isa is Isa.SCALAR:
        reference, whose = _ON_REFERENCE[model], f"{_REFERENCE_KERNELS} on {_M4}"
    else:
        reference, whose = baseline["instructions"][core][model], f"{_CMSIS_NN} on {core}"
    arenas = baseline["arena_bytes"]
    nearest = core if core in arenas else _M4
    text = baseline["text_bytes"][_M4][model]
    return (
        _ratio_bar("instructions", _INSTRUCTIONS[isa][model], reference, whose),
        Bar(
            "arena_bytes",
            _ARENA_BYTES[model],
            None,
            arenas[nearest][model],
            f"{_CMSIS_NN} on {nearest}",
        ),
        _ratio_bar("text_bytes", _TEXT, text, f"{_CMSIS_NN} on {_M4}"),
    )


def _ratio_bar(figure: str, ratio: float, reference: int, whose: str) -> Bar:
    return Bar(figure, ratio * reference, ratio, reference, whose)


def require_held(standings: Mapping[tuple[str, str], Sequence[Standing]]) -> None:
    """Passes if every figure holds its bar.

    Args:
        standings: (core, model) -> its figures.

    Raises:
        TidepoolError: Some don't; the message names all of them.
    """
    missed = [
        f"{model} on {core}: {one.value:,} {one.bar.figure} ({one.ratio:.3f}), at most "
        f"{one.bar.limit:,.0f}"
        + (f" ({one.bar.text()} of {one.bar.whose})" if one.bar.ratio is not None else "")
        for (core, model), figures in standings.items()
        for one in figures
        if not one.held
    ]
    if missed:
        raise TidepoolError(
            f"{len(missed)} figures miss their bars:\n" + "\n".join(f"  {line}" for line in missed),
            hint="'python benchmarks/mcu.py --per-layer' shows each layer beside its floor",
            exit_code=ExitCode.BUDGET,
        )

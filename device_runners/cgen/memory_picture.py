"""The memory plan as a picture: tensors over time, as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from device_runners.cgen.sources import render

_LEFT, _TOP, _BOTTOM = 84, 56, 48  # margins
_STEP_WIDTH = 40
_HEIGHT = 440
_LABEL_HEIGHT = 12  # bars below this get no label
_GRID_LINES = 8


@dataclass(frozen=True)
class _Bar:
    """A rectangle in the picture's coordinates."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str
    title: str


@dataclass(frozen=True)
class _Scale:
    """From steps and bytes to the picture's coordinates; address 0 is at the bottom."""

    first_step: int
    arena_bytes: int

    def x(self, step: float) -> float:
        return _LEFT + (step - self.first_step) * _STEP_WIDTH

    def y(self, address: float) -> float:
        return round(_TOP + _HEIGHT * (1 - address / max(self.arena_bytes, 1)), 2)


def memory_picture(figures: Mapping[str, Any]) -> str:
    """An SVG of where every tensor lies and when it is alive.

    Steps run to the right, one an operator; addresses run upwards. Bars that meet in one step and
    cross are computed in each other's memory. A tooltip names each bar.

    Args:
        figures: The figures of ``build``.

    Returns:
        The text of an SVG file.
    """
    layers = figures["layers"]
    scale = _Scale(-1, figures["arena_bytes"])
    inputs = {port["index"] for port in figures["inputs"]}
    outputs = {port["index"] for port in figures["outputs"]}
    bars = []
    for tensor in figures["tensors"]:
        kind = "tensor"
        if tensor["index"] in inputs | outputs:
            kind = "input" if tensor["index"] in inputs else "output"
        shape = "x".join(map(str, tensor["shape"]))
        bars.append(_bar(scale, tensor, kind, str(tensor["index"]), f"{tensor['name']}, {shape}"))
    for scratch in figures["scratch"]:
        title = f"scratch of operator {scratch['operator']}"
        bars.append(_bar(scale, scratch, "scratch", "", title))
    steps = [(-1, "inputs"), *((layer["index"], layer["opcode"]) for layer in layers)]
    steps.append((len(layers), "outputs"))
    return render(
        "memory.svg.j2",
        model=figures["model"],
        arena_bytes=figures["arena_bytes"],
        live_bytes=figures["live_bytes"],
        bound=figures["lower_bound_bytes"],
        is_optimal=figures["arena_is_optimal"],
        width=_LEFT + len(steps) * _STEP_WIDTH + 24,
        height=_TOP + _HEIGHT + _BOTTOM + 100,
        left=_LEFT,
        right=_LEFT + len(steps) * _STEP_WIDTH,
        bottom=_TOP + _HEIGHT,
        bars=bars,
        grid=[(address, scale.y(address)) for address in _grid(figures["arena_bytes"])],
        steps=[(scale.x(step) + _STEP_WIDTH / 2, name) for step, name in steps],
    )


def _bar(scale: _Scale, place: Mapping[str, Any], kind: str, label: str, what: str) -> _Bar:
    begin, end = place["offset"], place["offset"] + place["bytes"]
    height = round(scale.y(begin) - scale.y(end), 2)
    title = f"{what}: {place['bytes']} bytes at {begin}, steps {place['first']} to {place['last']}"
    return _Bar(
        x=scale.x(place["first"]) + 1,
        y=scale.y(end),
        width=(place["last"] - place["first"] + 1) * _STEP_WIDTH - 2,
        height=height,
        kind=kind,
        label=label if height >= _LABEL_HEIGHT else "",
        title=title,
    )


def _grid(arena_bytes: int) -> list[int]:
    """Round addresses, at most ``_GRID_LINES`` and the end."""
    step = 16
    while arena_bytes > step * _GRID_LINES:
        step *= 2
    # The end gets its own line; one right below it would hide its label.
    return [*(a for a in range(0, arena_bytes, step) if arena_bytes - a > step // 3), arena_bytes]

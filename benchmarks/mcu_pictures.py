"""The pictures of ``mcu.py``: figures against their bars, and layers against their floors."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from measurements import Measured

from converters.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FIGURES = ("instructions", "arena_bytes", "text_bytes")
_COLOURS = {
    "CONV_2D": "tab:blue",
    "DEPTHWISE_CONV_2D": "tab:orange",
    "FULLY_CONNECTED": "tab:green",
}
"""Opcode -> colour of its layers; the others are grey."""


def draw(found: Sequence[Measured], path: Path) -> Path:
    """Columns of the ratios to TFLM, a panel for each figure; a black line is the bar."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    figure, panels = plt.subplots(1, len(_FIGURES), figsize=(16, 4.5), layout="constrained")
    models = list(dict.fromkeys(each.model for each in found))
    cores = list(dict.fromkeys(each.core for each in found))
    width = 0.8 / len(cores)
    for panel, key in zip(panels, _FIGURES, strict=True):
        for number, core in enumerate(cores):
            here = [each for each in found if each.core == core]
            places = [models.index(each.model) + number * width for each in here]
            standings = [one for each in here for one in each.standings if one.bar.figure == key]
            ratios = [one.ratio for one in standings]
            columns = panel.bar(places, ratios, width, color=f"C{number}")
            for place, one, column in zip(places, standings, columns, strict=True):
                bar = one.bar.limit / one.bar.reference
                panel.plot([place - width / 2, place + width / 2], [bar] * 2, color="black")
                if not one.held:
                    column.set(hatch="//", edgecolor="red")
        panel.set_xticks([place + 0.4 - width / 2 for place in range(len(models))], models)
        panel.set_title(key.replace("_", " ").replace("bytes", "(bytes)"))
        panel.set_ylabel("ratio to TFLM; black: the bar, red: missed")
    handles = [Patch(color=f"C{number}", label=core) for number, core in enumerate(cores)]
    panels[-1].legend(handles=handles, fontsize="small")
    return _save(figure, path)


def draw_layers(found: Sequence[Measured], path: Path) -> Path:
    """Instructions per multiply-accumulate of every layer, over its floor; a panel a measurement.

    Layers without multiply-accumulates aren't drawn.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator

    models = list(dict.fromkeys(each.model for each in found))
    cores = list(dict.fromkeys(each.core for each in found))
    size = (4.2 * len(models), 2.8 * len(cores))
    figure, panels = plt.subplots(
        len(cores),
        len(models),
        figsize=size,
        squeeze=False,
        sharex="col",
        sharey="row",
        layout="constrained",
    )
    for each in found:
        panel = panels[cores.index(each.core)][models.index(each.model)]
        _draw_floors(panel, each)
        panel.set_title(f"{each.model} on {each.core}", fontsize="medium")
    for row in panels:
        row[0].set_ylabel("instructions per MAC")
        row[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        row[0].yaxis.set_major_formatter("{x:g}")
        row[0].yaxis.set_minor_formatter("")
    for panel in panels[-1]:
        panel.set_xlabel("operator")
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour, label=opcode)
        for opcode, colour in (*_COLOURS.items(), ("others", "grey"))
    ]
    handles.append(Line2D([], [], marker="_", color="black", linestyle="", label="floor"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return _save(figure, path)


def _draw_floors(panel: Axes, each: Measured) -> None:
    """A dot for each layer, a black line for its floor, and the distance between them."""
    for layer in each.layers:
        measured, floor = layer.instructions_per_mac, layer.floor_per_mac
        if measured is None or floor is None:
            continue
        colour = _COLOURS.get(layer.opcode, "grey")
        panel.plot([layer.index] * 2, [floor, measured], color=colour, alpha=0.5)
        panel.plot(layer.index, measured, "o", color=colour, markersize=4)
        panel.plot(
            [layer.index - 0.45, layer.index + 0.45], [floor] * 2, color="black", linewidth=1.5
        )
    panel.set_yscale("log")
    panel.grid(axis="y", which="both", alpha=0.2)


def _save(figure: Figure, path: Path) -> Path:
    import matplotlib.pyplot as plt

    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    plt.close(figure)
    return write_atomic(path, content.getvalue())

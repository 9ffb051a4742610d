"""What the QAT benchmark found: the figures' summary, the issue's bars, a table and a picture."""

from __future__ import annotations

import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

VARIANTS = ("float", "ptq", "qat", "qat_int4", "tfmot")

_NORMAL_LOSS = 0.005
_INT4_LOSS = 0.01
_STEP_TIME = 1.3


@dataclass
class Results:
    """Accuracies (0 to 1) by network and variant, one a seed, and the cost of a training step.

    Attributes:
        accuracy: Network, then variant, then the accuracies in the seeds' order.
        step_time_ratio: For ``qat`` and ``tfmot``: time of a training step over the float model's.
    """

    accuracy: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    step_time_ratio: dict[str, float] = field(default_factory=dict)

    def add(self, net: str, variant: str, accuracy: float) -> None:
        """Notes one seed's accuracy."""
        self.accuracy.setdefault(net, {}).setdefault(variant, []).append(accuracy)

    def mean(self, net: str, variant: str) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.accuracy[net][variant])

    def has(self, net: str, *variants: str) -> bool:
        """Whether all these variants of a network were measured."""
        return all(variant in self.accuracy.get(net, {}) for variant in variants)

    def to_json(self) -> dict[str, Any]:
        """``{net: {variant: {mean, spread, seeds}}, "step_time_ratio": {qat, tfmot}}``.

        ``spread`` is the largest accuracy less the smallest.
        """
        nets: dict[str, Any] = {
            net: {
                variant: {
                    "mean": round(statistics.fmean(values), 4),
                    "spread": round(max(values) - min(values), 4),
                    "seeds": [round(value, 4) for value in values],
                }
                for variant, values in variants.items()
            }
            for net, variants in self.accuracy.items()
        }
        ratios = {name: round(ratio, 3) for name, ratio in self.step_time_ratio.items()}
        return {**nets, "step_time_ratio": ratios}


@dataclass(frozen=True)
class Bar:
    """A claim about the results.

    Attributes:
        claim: What should hold, in words.
        measured: The figure.
        limit: What it may be at least (``at_least``) or at most.
        at_least: Which of the two.
    """

    claim: str
    measured: float
    limit: float
    at_least: bool

    @property
    def holds(self) -> bool:
        # Means of equal counts of right answers must compare equal, however they were summed.
        slack = 1e-9
        if self.at_least:
            return self.measured >= self.limit - slack
        return self.measured <= self.limit + slack


def bars(results: Results) -> list[Bar]:
    """The bars that the measured part of the results can be held to."""
    found = []
    mean = results.mean
    if results.has("normal", "float", "qat"):
        least = mean("normal", "float") - _NORMAL_LOSS
        claim = "int8 QAT within 0.5 points of float (normal)"
        found.append(Bar(claim, mean("normal", "qat"), least, at_least=True))
    if results.has("normal", "float", "qat_int4"):
        least = mean("normal", "float") - _INT4_LOSS
        claim = "4-bit weights within 1 point of float (normal)"
        found.append(Bar(claim, mean("normal", "qat_int4"), least, at_least=True))
    if results.has("imbalanced", "qat", "tfmot"):
        least = mean("imbalanced", "tfmot")
        claim = "int8 QAT at least as good as tfmot's (imbalanced)"
        found.append(Bar(claim, mean("imbalanced", "qat"), least, at_least=True))
    ratio = results.step_time_ratio
    if "qat" in ratio:
        claim = "a QAT step takes at most 1.3 float steps"
        found.append(Bar(claim, ratio["qat"], _STEP_TIME, at_least=False))
    if "qat" in ratio and "tfmot" in ratio:
        claim = "and at most what tfmot's takes, over its float step"
        found.append(Bar(claim, ratio["qat"], ratio["tfmot"], at_least=False))
    return found


def accuracy_rows(results: Results) -> list[tuple[str, ...]]:
    """A row a network: the mean of each variant in percent, with half its spread."""
    return [
        (net, *(_percent(variants.get(variant, ())) for variant in VARIANTS))
        for net, variants in results.accuracy.items()
    ]


def _percent(values: Sequence[float]) -> str:
    if not values:
        return "-"
    half = (max(values) - min(values)) / 2
    return f"{100 * statistics.fmean(values):.2f} ± {100 * half:.2f}"


def bar_rows(found: Sequence[Bar]) -> list[tuple[str, ...]]:
    """A row a bar: the claim, the figure, its limit, and whether it holds."""
    return [
        (
            bar.claim,
            f"{bar.measured:.4f}",
            f"{'≥' if bar.at_least else '≤'} {bar.limit:.4f}",
            "[green]yes[/]" if bar.holds else "[red]NO[/]",
        )
        for bar in found
    ]


def draw(results: Results, titles: Mapping[str, str]) -> bytes:
    """A PNG: for each network a group of bars from the worst seed to the best, and the step time.

    Args:
        results: At least one network.
        titles: What to write under each network's bars.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(13, 4.5), width_ratios=(4, 1), layout="constrained"
    )
    nets = list(results.accuracy)
    width = 0.8 / len(VARIANTS)
    for number, variant in enumerate(VARIANTS):
        places, means, below, above = [], [], [], []
        for place, net in enumerate(nets):
            if values := results.accuracy[net].get(variant):
                mean = 100 * statistics.fmean(values)
                places.append(place + number * width)
                means.append(mean)
                below.append(mean - 100 * min(values))
                above.append(100 * max(values) - mean)
        if places:
            drawn = left.bar(places, means, width, yerr=(below, above), capsize=3, label=variant)
            left.bar_label(drawn, fmt="%.1f", fontsize="x-small", padding=2)
    left.set_xticks(
        [place + 0.4 - width / 2 for place in range(len(nets))], [titles[net] for net in nets]
    )
    left.set_ylabel("accuracy of the .tflite in percent")
    left.set_title("Test accuracy (whiskers: worst and best seed)")
    left.set_ylim(0, 112)
    left.legend(fontsize="small", ncols=len(VARIANTS), loc="upper center")
    ratios = results.step_time_ratio
    drawn = right.bar(list(ratios), list(ratios.values()), 0.6)
    right.bar_label(drawn, fmt="%.2f", label_type="center")
    right.axhline(1, color="black", linewidth=0.8)
    right.axhline(_STEP_TIME, color="black", linewidth=0.8, linestyle="--")
    right.set_title("Training step over float")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    plt.close(figure)
    return content.getvalue()

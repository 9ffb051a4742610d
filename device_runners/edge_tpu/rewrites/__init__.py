"""Rewrites of a full-integer graph, so that the Edge TPU's compiler takes it and maps more of it.

One pass, one file: what it does, which refusal that cures and why no result changes stands in its
docstring. ``rewrite`` runs them all, in order.
"""

from device_runners.edge_tpu.rewrites.cut_tail import Part, Source
from device_runners.edge_tpu.rewrites.driver import DESCRIPTIONS, NAMES, PASSES, rewrite
from device_runners.edge_tpu.rewrites.result import Applied, Rewritten

__all__ = [
    "DESCRIPTIONS",
    "NAMES",
    "PASSES",
    "Applied",
    "Part",
    "Rewritten",
    "Source",
    "rewrite",
]

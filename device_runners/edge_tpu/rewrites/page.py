"""The reference page of the rewrites, written from the passes' docstrings."""

from __future__ import annotations

from device_runners.edge_tpu.rewrites.driver import DESCRIPTIONS


def edge_tpu_rewrites_page() -> str:
    """``docs/edge_tpu_rewrites.md``: what is done to a graph before the compiler sees it."""
    lines = [
        "# Rewrites for the Edge TPU",
        "",
        "Before the compiler runs, the graph is rewritten so that the compiler takes the file and "
        "maps more of it. The passes run in this order. Each keeps every output, bit by bit, under "
        "LiteRT's reference kernels; a model that needs none of them is compiled as it is, and so "
        "is one of which less work would map afterwards. What was done is in the report.",
        "",
    ]
    for one in DESCRIPTIONS:
        lines += [f"## {one.name}", "", one.summary, "", one.reason, "", one.exactness, ""]
    return "\n".join(lines)

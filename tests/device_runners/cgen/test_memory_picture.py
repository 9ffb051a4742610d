from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from support.graphs import make_random_graph
from support.models import int8_model

from device_runners.cgen import build
from device_runners.cgen.memory_picture import memory_picture
from device_runners.runner import Artifacts

_SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    graph = make_random_graph(np.random.default_rng(5), operators=6)
    return build(int8_model(graph), tmp_path_factory.mktemp("picture") / "aot")


def test_every_tensor_is_a_bar_inside_the_picture(artifacts: Artifacts) -> None:
    root = ET.fromstring(memory_picture(artifacts.figures))
    bars = root.findall(f"{_SVG}rect")
    assert len(bars) == len(artifacts.figures["tensors"])
    for bar, tensor in zip(bars, artifacts.figures["tensors"], strict=True):
        title = bar.findtext(f"{_SVG}title")
        assert title is not None and tensor["name"] in title and f"at {tensor['offset']}" in title
        assert float(bar.get("x", -1)) + float(bar.get("width", -1)) <= float(root.get("width", 0))
        assert float(bar.get("y", -1)) + float(bar.get("height", 0)) <= float(root.get("height", 0))


def test_bars_of_tensors_apart_do_not_cross(artifacts: Artifacts) -> None:
    """Address order is kept: of two bars, the one at the higher address lies higher."""
    bars = ET.fromstring(memory_picture(artifacts.figures)).findall(f"{_SVG}rect")
    tops = [float(bar.get("y", 0)) for bar in bars]
    ends = [tensor["offset"] + tensor["bytes"] for tensor in artifacts.figures["tensors"]]
    by_end = sorted(range(len(ends)), key=lambda i: ends[i])
    assert [tops[i] for i in by_end] == sorted(tops, reverse=True)


def test_scratch_is_drawn_and_names_are_escaped(artifacts: Artifacts) -> None:
    figures = dict(artifacts.figures)
    figures["scratch"] = [{"operator": 0, "offset": 0, "bytes": 16, "first": 0, "last": 0}]
    figures["tensors"] = [{**figures["tensors"][0], "name": "a<b>&c"}]
    text = memory_picture(figures)
    titles = [title.text for title in ET.fromstring(text).iter(f"{_SVG}title")]
    assert titles[0] is not None and titles[0].startswith("a<b>&c, ")
    assert titles[1] is not None and titles[1].startswith("scratch of operator 0: 16 bytes")


def test_it_says_how_good_the_plan_is(artifacts: Artifacts) -> None:
    figures = {**artifacts.figures, "arena_is_optimal": True}
    assert "optimal for these kernels" in memory_picture(figures)
    figures = {**artifacts.figures, "arena_is_optimal": False, "lower_bound_bytes": 1234}
    assert "at least 1,234 are needed" in memory_picture(figures)

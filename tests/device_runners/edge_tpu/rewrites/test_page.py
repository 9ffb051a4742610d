from __future__ import annotations

from device_runners.edge_tpu.rewrites import NAMES
from device_runners.edge_tpu.rewrites.page import edge_tpu_rewrites_page


def test_every_pass_has_a_section_in_the_order_of_the_run() -> None:
    page = edge_tpu_rewrites_page()
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert headings == list(NAMES)
    assert page.count("\nExact") == len(NAMES)

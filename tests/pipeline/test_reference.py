"""The generated pages are what the code says today."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.reference import PAGES
from pipeline.settings import known_keys

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), f"run 'make docs' to write docs/{name}"


def test_settings_page_lists_every_key() -> None:
    assert all(f"`{key}`" in PAGES["settings.md"]() for key in known_keys())

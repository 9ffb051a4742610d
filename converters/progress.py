"""How long work reports its progress without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int | None], None]
"""Called with the steps done and the steps in total (``None`` when unknown)."""


def no_progress(done: int, total: int | None) -> None:
    """Listens to nothing: the default where nobody watches."""

"""How a run tells whoever watches what it is doing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from converters.progress import Progress, no_progress


class Listener(Protocol):
    """Hears of stages, notes and warnings."""

    def stage(self, title: str) -> AbstractContextManager[Progress]:
        """A stage begins; it ends when the context is left. Yields its progress callback."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def warn(self, text: str) -> None:
        """Something that the user should look at."""


class Silent:
    """A listener that ignores everything."""

    @contextmanager
    def stage(self, title: str) -> Iterator[Progress]:
        yield no_progress

    def note(self, text: str) -> None:
        return

    def warn(self, text: str) -> None:
        return

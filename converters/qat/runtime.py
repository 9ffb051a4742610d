"""Keras for this package, on TensorFlow, and the phases that its layers know.

Importing ``converters.qat`` imports Keras, which takes seconds: import it where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Any

from converters.load.keras_runtime import import_keras

keras: Any = import_keras()

PACKAGE = "tidepool"
"""The name that the classes are registered under in a ``.keras`` file."""


class Phase(StrEnum):
    """What a forward pass is for; the layers of a quantized model look it up when called."""

    RUN = "run"
    """Training and inference, as the ``training`` argument says."""
    EXPORT = "export"
    """Tracing for conversion: weights are baked, ranges are constants."""
    REESTIMATE = "reestimate"
    """Batch normalization takes the statistics of the batch; everything else is inference."""


_phase: ContextVar[Phase] = ContextVar("phase", default=Phase.RUN)


def current_phase() -> Phase:
    """The phase that the running forward pass belongs to."""
    return _phase.get()


@contextmanager
def phase(value: Phase) -> Iterator[None]:
    """Forward passes (and traces of them) inside belong to this phase."""
    token = _phase.set(value)
    try:
        yield
    finally:
        _phase.reset(token)

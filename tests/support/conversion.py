"""Conversion without a process of its own.

Each process loads TensorFlow, several times what converting one layer takes. That the process is
one, and what comes of its crash, is tested beside the converter (``tests/converters/tflite``).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from converters.errors import TidepoolError
from converters.progress import Progress
from converters.tflite import _convert_child, convert


def run_here(
    command: Sequence[str],
    frames: Iterable[bytes],
    log: Path,
    time_limit: float,
    progress: Progress,
) -> None:
    """Does what ``run_streaming`` does, by a call."""
    argv, stdin = sys.argv, sys.stdin
    sys.argv = ["_convert_child", command[-1]]
    sys.stdin = SimpleNamespace(buffer=io.BytesIO(b"".join(frames)))  # type: ignore[assignment]
    try:
        _convert_child.main()
    except Exception as error:
        raise TidepoolError(f"the TFLite converter refused the model: {error}") from error
    finally:
        sys.argv, sys.stdin = argv, stdin


@contextmanager
def conversion_in_this_process() -> Iterator[None]:
    """Converts without a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "run_streaming", run_here)
        yield

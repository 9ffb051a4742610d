"""Keeps TensorFlow's C++ libraries off the terminal: only the command line prints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hushed() -> Iterator[None]:
    """Sends what is written to file descriptor 2 to nowhere for the time of the block.

    TensorFlow logs the absence of a GPU and the like before any log level can be set. Errors
    come as exceptions and aren't lost.
    """
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)

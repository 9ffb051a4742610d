"""EXPAND_DIMS. It usually vanishes (``passes/alias_reshapes.py``); a constant is copied."""

from __future__ import annotations

from device_runners.cgen.reshaping import reshape_operation

OP = reshape_operation("EXPAND_DIMS", (2, 2))

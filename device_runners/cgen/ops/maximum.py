"""MAXIMUM, with broadcasting and constant operands."""

from __future__ import annotations

from device_runners.cgen.binary import selection_operation

OP = selection_operation("MAXIMUM")

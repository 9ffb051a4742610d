"""SELECT: elements, or whole rows, of two operands by a condition."""

from __future__ import annotations

from device_runners.cgen.selecting import select_operation

OP = select_operation("SELECT", 2)

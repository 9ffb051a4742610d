"""SELECT_V2: elements of two operands by a condition, all of which broadcast."""

from __future__ import annotations

from device_runners.cgen.selecting import select_operation

OP = select_operation("SELECT_V2", 1)

"""LESS_EQUAL, with broadcasting and constant operands."""

from __future__ import annotations

from device_runners.cgen.comparing import comparison

OP = comparison("LESS_EQUAL", less=True, equal=True, greater=False)

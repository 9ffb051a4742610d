"""EQUAL, with broadcasting and constant operands."""

from __future__ import annotations

from device_runners.cgen.comparing import comparison

OP = comparison("EQUAL", less=False, equal=True, greater=False)

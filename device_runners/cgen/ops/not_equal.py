"""NOT_EQUAL, with broadcasting and constant operands."""

from __future__ import annotations

from device_runners.cgen.comparing import comparison

OP = comparison("NOT_EQUAL", less=True, equal=False, greater=True)

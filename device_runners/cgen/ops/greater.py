"""GREATER, with broadcasting and constant operands."""

from __future__ import annotations

from device_runners.cgen.comparing import comparison

OP = comparison("GREATER", less=False, equal=False, greater=True)

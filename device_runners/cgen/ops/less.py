"""LESS, with broadcasting and constant operands."""

from __future__ import annotations

from device_runners.cgen.comparing import comparison

OP = comparison("LESS", less=True, equal=False, greater=False)

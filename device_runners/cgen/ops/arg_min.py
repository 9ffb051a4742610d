"""ARG_MIN along a constant axis, to int32 or int64."""

from __future__ import annotations

from device_runners.cgen.extrema import arg_operation

OP = arg_operation("ARG_MIN")

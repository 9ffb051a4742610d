"""REDUCE_MIN over any constant set of dimensions."""

from __future__ import annotations

from device_runners.cgen.reductions import extremum_operation

OP = extremum_operation("REDUCE_MIN")

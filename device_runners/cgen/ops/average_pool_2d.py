"""AVERAGE_POOL_2D."""

from __future__ import annotations

from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.pooling import check_pool, emit_pool


def _emit(context: OpContext) -> Emission:
    return emit_pool(context, "average_pool_2d")


OP = Operation(
    "AVERAGE_POOL_2D", versions=3, inputs=(1, 1), check=check_pool, emit=_emit, int16=True
)

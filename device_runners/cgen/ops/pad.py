"""PAD with constant paddings; the padding is real 0, the zero point."""

from __future__ import annotations

from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.padding import check_pad, emit_pad


def _emit(context: OpContext) -> Emission:
    return emit_pad(context, context.output.zero_point)


OP = Operation("PAD", versions=4, inputs=(2, 2), check=check_pad, emit=_emit, int16=True)

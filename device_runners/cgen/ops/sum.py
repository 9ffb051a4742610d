"""SUM over any constant set of dimensions."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation
from device_runners.cgen.reductions import axes, check_reduction, count, reduction_params


def _multiplier(context: OpContext) -> Multiplier:
    return quantize_multiplier(context.input(0).scale / context.output.scale)


def _check(context: OpContext) -> Iterator[str]:
    found = list(check_reduction(context))
    yield from found
    if found:
        return
    if count(context) * 255 << max(_multiplier(context).shift, 0) >= checks.ACCUMULATOR_LIMIT:
        yield f"can overflow a 32-bit accumulator over {count(context)} elements"


def _emit(context: OpContext) -> Emission:
    source, multiplier = context.input(0), _multiplier(context)
    params: dict[str, object] = {
        "reduction": reduction_params(context),
        "zero_point_sum": source.zero_point * count(context),
        "multiplier": multiplier.value,
        "shift": multiplier.shift,
        "output_zero_point": context.output.zero_point,
    }
    return Emission(
        kernel="sum",
        calls=(KernelCall("tidepool_sum", "tidepool_sum_params", params, (source.index,)),),
        summary=f"over the axes {axes(context)}",
        constants=operand_arrays(context, 0),
    )


OP = Operation("SUM", versions=2, inputs=(2, 2), check=_check, emit=_emit)

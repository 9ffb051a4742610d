"""RESHAPE. It usually vanishes (``passes/alias_reshapes.py``); a constant is copied."""

from __future__ import annotations

from collections.abc import Iterator

from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.int8_activations(context))
    yield from basics
    if basics:
        return
    source, output = context.input(0), context.output
    if source.elements != output.elements:
        yield f"makes {list(output.shape)} of {list(source.shape)}: the sizes differ"


def _emit(context: OpContext) -> Emission:
    source = context.input(0)
    size = source.elements
    params = {"rows": 1, "input_stride": size, "output_stride": size}
    return Emission(
        kernel="copy",
        calls=(KernelCall("tidepool_copy", "tidepool_copy_params", params, (source.index,)),),
        constants=operand_arrays(context, 0),
    )


OP = Operation("RESHAPE", versions=1, inputs=(1, 2), check=_check, emit=_emit)

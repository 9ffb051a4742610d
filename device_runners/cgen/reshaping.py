"""What RESHAPE, SQUEEZE and EXPAND_DIMS share: another shape of the same values."""

from __future__ import annotations

from collections.abc import Iterator

from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.activations(context))
    yield from basics
    if basics:
        return
    source, output = context.input(0), context.output
    if source.elements != output.elements:
        yield f"makes {list(output.shape)} of {list(source.shape)}: the sizes differ"


def _emit(context: OpContext) -> Emission:
    source = context.input(0)
    size = source.bytes
    params = {"rows": 1, "input_stride": size, "output_stride": size}
    return Emission(
        kernel="copy",
        calls=(KernelCall("tidepool_copy", "tidepool_copy_params", params, (source.index,)),),
        constants=operand_arrays(context, 0),
    )


def reshape_operation(opcode: str, inputs: tuple[int, int | None]) -> Operation:
    """An op whose output's shape in the file is all there is to know."""
    return Operation(opcode, versions=1, inputs=inputs, check=_check, emit=_emit, int16=True)

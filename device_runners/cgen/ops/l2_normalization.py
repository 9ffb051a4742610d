"""L2_NORMALIZATION over the last dimension."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.graph import Activation
from converters.tflite.options import L2NormOptions
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation

_OUTPUT_SCALE = 1 / 128
_MAX_DEPTH = 33025
_MAX_DIMENSIONS = 4  # of the reference


def _check(context: OpContext) -> Iterator[str]:
    basics = [*checks.int8_activations(context), *checks.options(context, L2NormOptions)]
    yield from basics
    options = context.operator.options
    if basics or not isinstance(options, L2NormOptions):
        return
    source, output = context.input(0), context.output
    yield from checks.output_shape(context, source.shape)
    if options.fused_activation_function is not Activation.NONE:
        yield f"has the fused activation {options.fused_activation_function}; NONE is supported"
    if output.scale != _OUTPUT_SCALE or output.zero_point != 0:
        yield (
            f"has the output scale {output.scale:.9g} and zero point {output.zero_point}; "
            "1/128 and 0 are needed"
        )
    if not 1 <= len(source.shape) <= _MAX_DIMENSIONS:
        yield f"normalizes {len(source.shape)} dimensions; 1 to {_MAX_DIMENSIONS} are supported"
    elif source.shape[-1] > _MAX_DEPTH:
        yield f"runs over {source.shape[-1]} values; {_MAX_DEPTH} are supported"


def _emit(context: OpContext) -> Emission:
    source = context.input(0)
    depth = source.shape[-1]
    params: dict[str, object] = {
        "rows": source.elements // depth,
        "depth": depth,
        "input_zero_point": source.zero_point,
    }
    call = KernelCall(
        "tidepool_l2_normalization", "tidepool_l2_normalization_params", params, (source.index,)
    )
    return Emission(
        kernel="l2_normalization",
        calls=(call,),
        summary=f"over {depth} values",
        constants=operand_arrays(context, 0),
        in_place=(source.index,),
    )


OP = Operation("L2_NORMALIZATION", versions=2, inputs=(1, 1), check=_check, emit=_emit)

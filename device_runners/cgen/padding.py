"""What PAD and PADV2 share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext

_MAX_DIMENSIONS = 5  # TIDEPOOL_MAX_PAD_DIMENSIONS, and the reference's limit


def check_pad(context: OpContext) -> Iterator[str]:
    """Constant, non-negative paddings, and one quantization."""
    basics = [
        *checks.int8_activations(context),
        *checks.constant(context, 1, "paddings", TensorType.INT32, TensorType.INT64),
    ]
    yield from basics
    if basics:
        return
    source, paddings = context.input(0), context.data(1)
    rank = len(source.shape)
    if not 1 <= rank <= _MAX_DIMENSIONS:
        yield f"pads {rank} dimensions; 1 to {_MAX_DIMENSIONS} are supported"
        return
    if paddings.shape != (rank, 2) or (paddings < 0).any():
        yield f"has the paddings {paddings.tolist()} for {rank} dimensions"
        return
    yield from checks.same_quantization(source, context.output, "input and output")
    padded = zip(source.shape, paddings.tolist(), strict=True)
    yield from checks.output_shape(context, [size + sum(pair) for size, pair in padded])


def emit_pad(context: OpContext, value: int) -> Emission:
    """A call of ``tidepool_pad``."""
    source, paddings = context.input(0), context.data(1).tolist()
    unused = _MAX_DIMENSIONS - len(source.shape)
    params: dict[str, object] = {
        "sizes": (1,) * unused + source.shape,
        "before": _filled([before for before, _ in paddings], unused),
        "after": _filled([after for _, after in paddings], unused),
        "value": value,
    }
    return Emission(
        kernel="pad",
        calls=(KernelCall("tidepool_pad", "tidepool_pad_params", params, (source.index,)),),
        summary=f"by {paddings} with {value}",
        constants=operand_arrays(context, 0),
    )


def _filled(values: Sequence[int], unused: int) -> tuple[int, ...]:
    return (0,) * unused + tuple(values)

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
        *checks.activations(context),
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
    """A call of ``tidepool_pad``. It counts in bytes: an int16 tensor has rows of twice as many.

    Args:
        context: The operator.
        value: What the padding holds; 0 for int16.
    """
    source, paddings = context.input(0), context.data(1).tolist()
    unused = _MAX_DIMENSIONS - len(source.shape)
    size = source.type.dtype.itemsize
    params: dict[str, object] = {
        "sizes": _filled(1, source.shape, unused, size),
        "before": _filled(0, [before for before, _ in paddings], unused, size),
        "after": _filled(0, [after for _, after in paddings], unused, size),
        "value": value,
    }
    return Emission(
        kernel="pad",
        calls=(KernelCall("tidepool_pad", "tidepool_pad_params", params, (source.index,)),),
        summary=f"by {paddings} with {value}",
        constants=operand_arrays(context, 0),
    )


def _filled(filler: int, values: Sequence[int], unused: int, element_bytes: int) -> tuple[int, ...]:
    """Of every dimension, unused ones first; of the last one in bytes."""
    return (filler,) * unused + (*values[:-1], values[-1] * element_bytes)

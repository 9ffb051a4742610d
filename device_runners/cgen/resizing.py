"""What RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from converters.tflite.graph import TensorType
from device_runners.cgen import checks
from device_runners.cgen.moves import integers
from device_runners.cgen.operation import OpContext


def check_resize(
    context: OpContext,
    options: type[Any],
    activations: Callable[[OpContext], Iterator[str]] = checks.int8_activations,
) -> Iterator[str]:
    """An image in one quantization, and a constant size."""
    basics = [
        *activations(context),
        *checks.options(context, options),
        *checks.constant(context, 1, "size", TensorType.INT32),
    ]
    yield from basics
    if basics:
        return
    source, size = context.input(0), integers(context, 1)
    found = list(checks.rank(source, 4, "input 0"))
    yield from found
    if found:
        return
    if len(size) != 2:
        yield f"has the size {size}; height and width are needed"
        return
    yield from checks.same_quantization(source, context.output, "input and output")
    yield from checks.output_shape(context, (source.shape[0], *size, source.shape[3]))

"""RESIZE_BILINEAR to a constant size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.options import ResizeBilinearOptions
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import (
    ConstantArray,
    Emission,
    KernelCall,
    OpContext,
    Operation,
    Symbol,
)
from device_runners.cgen.resizing import check_resize

_ONE = 1 << 10  # positions are fixed-point numbers with ten fractional bits


def _options(context: OpContext) -> ResizeBilinearOptions:
    options = context.operator.options
    assert isinstance(options, ResizeBilinearOptions)
    return options


def _scale(size: int, outputs: int, options: ResizeBilinearOptions) -> int:
    """Input steps for each output step, to the nearest 1/1024."""
    if options.align_corners and outputs > 1:
        return (_ONE * (size - 1) + (outputs - 1) // 2) // (outputs - 1)
    return (_ONE * size + outputs // 2) // outputs


def positions(
    size: int, outputs: int, options: ResizeBilinearOptions
) -> list[tuple[int, int, int]]:
    """For each output index: the inputs below and above it, and its distance from the one below."""
    scale = _scale(size, outputs, options)
    shift = scale // 2 - _ONE // 2 if options.half_pixel_centers else 0
    found = []
    for index in range(outputs):
        place = index * scale + shift
        # A negative place truncates to 0, and its distance stays negative.
        below = max(place // _ONE, 0)
        above = min(max(place + _ONE - 1, 0) // _ONE, size - 1)
        found.append((below, above, place - _ONE * below))
    return found


def _check(context: OpContext) -> Iterator[str]:
    found = list(check_resize(context, ResizeBilinearOptions, checks.activations))
    yield from found
    if found:
        return
    options = _options(context)
    if options.align_corners and options.half_pixel_centers:
        yield "has both align_corners and half_pixel_centers"
        return
    for size, outputs in zip(context.input(0).shape[1:3], context.output.shape[1:3], strict=True):
        if any(below >= size for below, _, _ in positions(size, outputs, options)):
            yield f"enlarges {size} to {outputs}, where the reference reads beyond the image"


def _emit(context: OpContext) -> Emission:
    batches, height, width, channels = context.input(0).shape
    _, rows, columns, _ = context.output.shape
    options, source = _options(context), context.input(0)
    steps = {"rows": (height, rows, width * channels), "columns": (width, columns, channels)}
    arrays = {}
    for name, (extent, outputs, step) in steps.items():
        table = [
            (below * step, above * step, distance)
            for below, above, distance in positions(extent, outputs, options)
        ]
        arrays[name] = ConstantArray(context.name(name), "int32_t", np.array(table, np.int32))
    params: dict[str, object] = {
        "batches": batches,
        "input_size": height * width * channels,
        "channels": channels,
        "output_height": rows,
        "output_width": columns,
        **{name: Symbol(array.name) for name, array in arrays.items()},
    }
    size = source.type.dtype.itemsize
    kernel = "resize_bilinear_int16" if size == 2 else "resize_bilinear"
    call = KernelCall(
        f"tidepool_{kernel}",
        "tidepool_resize_bilinear_params",
        params,
        (source.index,),
        element_bytes=size,
    )
    constants = (*arrays.values(), *operand_arrays(context, 0))
    return Emission(kernel, (call,), constants=constants)


OP = Operation("RESIZE_BILINEAR", versions=4, inputs=(2, 2), check=_check, emit=_emit, int16=True)

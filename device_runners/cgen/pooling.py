"""What AVERAGE_POOL_2D and MAX_POOL_2D share."""

from __future__ import annotations

from collections.abc import Iterator

from converters.tflite.options import Pool2DOptions
from device_runners.cgen import checks
from device_runners.cgen.convolution import describe_window, window_params, windows
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext
from device_runners.cgen.requantization import activation_range

# The sum of a window of values and half its count stay below 2^31.
_MAX_WINDOW = {1: 1 << 23, 2: 1 << 15}


def _options(context: OpContext) -> Pool2DOptions:
    options = context.operator.options
    if not isinstance(options, Pool2DOptions):
        raise ValueError("a pool without its options")
    return options


def _element_bytes(context: OpContext) -> int:
    return context.output.type.dtype.itemsize


def check_pool(context: OpContext) -> Iterator[str]:
    """Images in one quantization, and a window that fits them."""
    basics = [*checks.activations(context), *checks.options(context, Pool2DOptions)]
    yield from basics
    if basics:
        return
    source, output, options = context.input(0), context.output, _options(context)
    yield from checks.rank(source, 4, "input 0")
    geometry = list(
        checks.positive_options(context, "stride_h", "stride_w", "filter_height", "filter_width")
    )
    yield from geometry
    if geometry or len(source.shape) != 4:
        return
    yield from checks.activation(context)
    yield from checks.same_quantization(source, output, "input and output")
    if options.filter_height * options.filter_width > _MAX_WINDOW[_element_bytes(context)]:
        yield f"has a window of {options.filter_height}x{options.filter_width}, which is too large"
    vertical, horizontal = windows(context, options.filter_height, options.filter_width)
    yield from checks.output_shape(
        context, (source.shape[0], vertical.outputs, horizontal.outputs, source.shape[3])
    )


def emit_pool(context: OpContext, kernel: str) -> Emission:
    """A call of ``tidepool_<kernel>``, or of ``tidepool_<kernel>_int16``."""
    source, output, options = context.input(0), context.output, _options(context)
    low, high = activation_range(output, options.fused_activation_function)
    params: dict[str, object] = {
        "window": window_params(context, options.filter_height, options.filter_width),
        "output_min": low,
        "output_max": high,
    }
    size = _element_bytes(context)
    call = KernelCall(
        f"tidepool_{kernel}" + ("_int16" if size == 2 else ""),
        "tidepool_pool_2d_params",
        params,
        (source.index,),
        element_bytes=size,
    )
    return Emission(
        kernel=call.kernel,
        calls=(call,),
        summary=describe_window(context, options.filter_height, options.filter_width),
        constants=operand_arrays(context, 0),
    )

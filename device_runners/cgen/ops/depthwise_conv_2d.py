"""DEPTHWISE_CONV_2D: any window, stride, dilation and depth multiplier."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from converters.tflite.options import DepthwiseConv2DOptions
from device_runners.cgen import checks
from device_runners.cgen.channel_packing import pack_channels
from device_runners.cgen.choice import Candidate, Packed, choose
from device_runners.cgen.convolution import (
    bias_values,
    channel_multipliers,
    describe_window,
    window_params,
    windows,
)
from device_runners.cgen.dsp_convolution import conv_2d_widened_dsp, three_windows
from device_runners.cgen.dsp_depthwise import depthwise_dsp, depthwise_windows_dsp
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.int16_products import (
    SAFE_PRODUCTS,
    activation_fields,
    check_products,
    check_sums,
    product_emission,
    products,
)
from device_runners.cgen.isa import Isa
from device_runners.cgen.mve_convolution import two_windows
from device_runners.cgen.mve_depthwise import depthwise_mve
from device_runners.cgen.mve_windows import depthwise_windows_mve
from device_runners.cgen.operation import (
    Emission,
    KernelCall,
    OpContext,
    Operation,
    Symbol,
)
from device_runners.cgen.portable_convolution import conv_2d_portable


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_activations(context),
        *checks.options(context, DepthwiseConv2DOptions),
        *checks.weights(context, 4),
    ]
    yield from basics
    shapes = [] if basics else list(_check_shapes(context))
    yield from shapes
    if basics or shapes:
        return
    bounds = checks.accumulator_bounds(
        _by_channel(context), context.input(0).zero_point, bias_values(context)
    )
    yield from checks.accumulators(bounds, _multipliers(context))


def _check_int16(context: OpContext) -> Iterator[str]:
    basics = list(check_products(context, DepthwiseConv2DOptions, 4))
    yield from basics
    shapes = [] if basics else list(_check_shapes(context))
    yield from shapes
    if basics or shapes:
        return
    width = context.input(1).shape[2]
    if width > SAFE_PRODUCTS:
        yield f"has filters of width {width}; up to {SAFE_PRODUCTS} is supported"
    yield from check_sums(context, _by_channel(context), _multipliers(context))


def _by_channel(context: OpContext) -> Array:
    """(channels, taps) the weights."""
    weights: Array = np.moveaxis(context.data(1), 3, 0)
    return weights.reshape(len(weights), -1)


def _multipliers(context: OpContext) -> list[Multiplier]:
    return channel_multipliers(context, context.input(1).shape[3])


def _check_shapes(context: OpContext) -> Iterator[str]:
    yield from checks.rank(context.input(0), 4, "input 0")
    names = ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor")
    geometry = list(checks.positive_options(context, *names))
    yield from geometry
    if geometry or len(context.input(0).shape) != 4:
        return
    yield from checks.activation(context)
    yield from checks.symmetric_weights(context, axis=3)
    one, filter_height, filter_width, channels = context.input(1).shape
    # The multiplier follows from the shapes; the file's option is ignored, as in the reference.
    if one != 1 or channels % context.input(0).shape[3]:
        yield (
            f"has {context.input(0).shape[3]} input channels and weights of shape "
            f"{list(context.input(1).shape)}; [1, height, width, multiple of channels] is needed"
        )
        return
    yield from checks.bias_size(context, channels)
    vertical, horizontal = windows(context, filter_height, filter_width)
    yield from checks.output_shape(
        context, (context.input(0).shape[0], vertical.outputs, horizontal.outputs, channels)
    )


_CHANNELS = 4  # of the kernel's lines
_INPUT_OFFSET = 128  # in them
_LINES_BYTES = 512


def _multiplier(context: OpContext) -> int:
    return context.input(1).shape[3] // context.input(0).shape[3]


def _filters(context: OpContext) -> Array | None:
    """(channels, height, width, 1) the weights of the CONV_2D that a single input channel makes of
    the operator; None for several."""
    if context.input(0).shape[3] > 1:
        return None
    return context.data(1).transpose(3, 1, 2, 0)


def _as_convolution(
    kernel: Callable[[OpContext, Array], Packed | None],
) -> Callable[[OpContext], Packed | None]:
    def make(context: OpContext) -> Packed | None:
        filters = _filters(context)
        return None if filters is None else kernel(context, filters)

    return make


def _pairs_of_pixels(context: OpContext, filters: Array) -> Packed | None:
    return two_windows(context, window_params(context, *filters.shape[1:3]), filters)


def _three_pixels(context: OpContext, filters: Array) -> Packed | None:
    return three_windows(context, window_params(context, *filters.shape[1:3]), filters)


_CONVOLUTION = "one input channel: the convolution with its filters"
_CANDIDATES = (
    Candidate(
        Isa.MVE,
        depthwise_mve,
        reason="vector extension: windows of 4x4 by gathering loads, four results each",
        refusal="depth multiplier, not 3x3 with strides of 1 or 2, or a shift to the left",
    ),
    Candidate(
        Isa.MVE,
        depthwise_windows_mve,
        reason="vector extension: windows by gathering loads",
        refusal="a shift to the left, weights that would grow, or too large",
    ),
    Candidate(Isa.MVE, _as_convolution(_pairs_of_pixels), reason=_CONVOLUTION, refusal=""),
    Candidate(
        Isa.DSP,
        depthwise_dsp,
        reason="DSP extension, every channel proven exact",
        refusal="depth multiplier, fewer than four channels, or no proof",
    ),
    Candidate(
        Isa.DSP,
        depthwise_windows_dsp,
        reason="DSP extension, every channel proven exact; rows packed by twos",
        refusal="fewer than four input channels, no proof, or too large",
    ),
    Candidate(Isa.DSP, _as_convolution(_three_pixels), reason=_CONVOLUTION, refusal=""),
    Candidate(
        Isa.DSP, _as_convolution(conv_2d_widened_dsp), reason=f"{_CONVOLUTION}, widened", refusal=""
    ),
    Candidate(Isa.SCALAR, _as_convolution(conv_2d_portable), reason=_CONVOLUTION, refusal=""),
)


def _emit(context: OpContext) -> Emission:
    return choose(context, _CANDIDATES, lambda: _portable(context))


def _portable(context: OpContext) -> Emission:
    source, weights, output = context.input(0), context.input(1), context.output
    _, filter_height, filter_width, channels = weights.shape
    multiplier = _multiplier(context)
    packed = pack_channels(
        context,
        context.data(1).reshape(-1, channels).T,
        channel_multipliers(context, channels),
        input_offset=_INPUT_OFFSET,
    )
    window = window_params(context, filter_height, filter_width)
    band = _band(window)
    taps = packed.weights()
    params = {
        "window": window,
        "depth_multiplier": multiplier,
        "input_zero_point": source.zero_point,
        "band": band,
        "weights": Symbol(taps.name),
        "channels": packed.params,
    }
    name = "tidepool_depthwise_conv_2d"
    return Emission(
        kernel="depthwise_conv_2d",
        calls=(KernelCall(name, f"{name}_params", params, (source.index,)),),
        summary=_summary(context),
        constants=(taps, *packed.arrays, *operand_arrays(context, 0)),
        macs=output.elements * filter_height * filter_width,
        scratch_bytes=_lines_bytes(window, band),
    )


def _lines_bytes(window: dict[str, int], band: int) -> int:
    """Scratch memory for the input rows of ``band`` output rows."""
    w = window
    rows = (band - 1) * w["stride_height"] + (w["filter_height"] - 1) * w["dilation_height"] + 1
    columns = (w["output_width"] - 1) * w["stride_width"] + 1
    columns += (w["filter_width"] - 1) * w["dilation_width"]
    return _CHANNELS * rows * columns


def _band(window: dict[str, int]) -> int:
    """As many output rows as scratch memory of a modest size allows, at least one."""
    bands = range(2, window["output_height"] + 1)
    return max((n for n in bands if _lines_bytes(window, n) <= _LINES_BYTES), default=1)


def _summary(context: OpContext) -> str:
    _, filter_height, filter_width, _ = context.input(1).shape
    multiplier = _multiplier(context)
    summary = describe_window(context, filter_height, filter_width)
    return summary + (f", depth multiplier {multiplier}" if multiplier > 1 else "")


def _emit_int16(context: OpContext) -> Emission:
    _, filter_height, filter_width, _ = context.input(1).shape
    chosen = products(context, _by_channel(context), _multipliers(context))
    params = {
        "window": window_params(context, filter_height, filter_width),
        "depth_multiplier": _multiplier(context),
        **activation_fields(context),
        **chosen.fields,
    }
    macs = context.output.elements * filter_height * filter_width
    return product_emission(context, "depthwise_conv_2d", chosen, params, _summary(context), macs)


OP = with_int16(
    Operation("DEPTHWISE_CONV_2D", versions=6, inputs=(2, 3), check=_check, emit=_emit),
    _check_int16,
    _emit_int16,
)

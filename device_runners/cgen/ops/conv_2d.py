"""CONV_2D: any window, stride, dilation and number of groups; weights per channel or per tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier
from converters.tflite.options import Conv2DOptions
from device_runners.cgen import checks
from device_runners.cgen.choice import Candidate, choose
from device_runners.cgen.convolution import (
    bias_values,
    channel_multipliers,
    describe_window,
    window_params,
    windows,
)
from device_runners.cgen.dsp_convolution import FOUR_BITS as DSP_FOUR_BITS
from device_runners.cgen.dsp_convolution import conv_2d_dsp, conv_2d_widened_dsp
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.int16_products import (
    activation_fields,
    check_products,
    check_sums,
    product_emission,
    products,
)
from device_runners.cgen.isa import Isa
from device_runners.cgen.mve_convolution import conv_2d_mve
from device_runners.cgen.mve_vectors import FOUR_BITS as MVE_FOUR_BITS
from device_runners.cgen.operation import Emission, OpContext, Operation
from device_runners.cgen.portable_convolution import conv_2d_portable


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_activations(context),
        *checks.options(context, Conv2DOptions),
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
    basics = list(check_products(context, Conv2DOptions, 4))
    yield from basics
    shapes = [] if basics else list(_check_shapes(context))
    yield from shapes
    if not basics and not shapes:
        yield from check_sums(context, _by_channel(context), _multipliers(context))


def _by_channel(context: OpContext) -> Array:
    """(channels, taps) the weights."""
    return context.data(1).reshape(context.input(1).shape[0], -1)


def _multipliers(context: OpContext) -> list[Multiplier]:
    return channel_multipliers(context, context.input(1).shape[0])


def _check_shapes(context: OpContext) -> Iterator[str]:
    yield from checks.rank(context.input(0), 4, "input 0")
    names = ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor")
    geometry = list(checks.positive_options(context, *names))
    yield from geometry
    if geometry or len(context.input(0).shape) != 4:
        return
    yield from checks.activation(context)
    yield from checks.symmetric_weights(context, axis=0)
    channels, filter_height, filter_width, depth = context.input(1).shape
    input_channels = context.input(0).shape[3]
    if input_channels % depth or channels % (input_channels // depth):
        yield (
            f"has {input_channels} input channels, {channels} output channels and filters of depth "
            f"{depth}, which don't make groups"
        )
        return
    yield from checks.bias_size(context, channels)
    vertical, horizontal = windows(context, filter_height, filter_width)
    yield from checks.output_shape(
        context, (context.input(0).shape[0], vertical.outputs, horizontal.outputs, channels)
    )


def _groups(context: OpContext) -> int:
    return context.input(0).shape[3] // context.input(1).shape[3]


_CANDIDATES = (
    Candidate(
        Isa.MVE,
        lambda context: conv_2d_mve(context) if _groups(context) == 1 else None,
        reason="vector extension, one group, no shift to the left",
        refusal="several groups, a shift to the left, or weights that would grow",
    ),
    Candidate(
        Isa.DSP,
        lambda context: conv_2d_dsp(context) if _groups(context) == 1 else None,
        reason="DSP extension, one group, every channel proven exact",
        refusal="several groups, or no proof",
    ),
    Candidate(
        Isa.DSP,
        lambda context: (
            conv_2d_widened_dsp(context, context.data(1)) if _groups(context) == 1 else None
        ),
        reason="DSP extension, one group, every channel proven exact; columns of zeros fill words",
        refusal="",
    ),
)


def _portable(context: OpContext) -> Emission:
    packed = conv_2d_portable(context, context.data(1))
    taps = math.prod(context.input(1).shape[1:])
    return Emission(
        kernel=packed.call.kernel,
        calls=(packed.call,),
        summary=_summary(context),
        constants=(*packed.constants, *operand_arrays(context, 0)),
        macs=context.output.elements * taps,
        scratch_bytes=packed.scratch_bytes,
    )


_FOUR_BITS = (
    Candidate(
        Isa.MVE,
        lambda context: conv_2d_mve(context, MVE_FOUR_BITS) if _groups(context) == 1 else None,
        reason="vector extension, one group, weights stay in 4 bits",
        refusal="several groups, a shift to the left, weights of -8, or weights that would grow",
    ),
    Candidate(
        Isa.DSP,
        lambda context: conv_2d_dsp(context, DSP_FOUR_BITS) if _groups(context) == 1 else None,
        reason="DSP extension, one group, weights stay in 4 bits, every channel proven exact",
        refusal="several groups, or no proof for 4 bits",
    ),
    Candidate(
        Isa.SCALAR,
        lambda context: conv_2d_portable(context, context.data(1), four_bits=True),
        reason="weights stay in 4 bits",
        refusal="",
    ),
)
"""For weights that the model has in 4 bits; the others take them as bytes."""


def _emit(context: OpContext) -> Emission:
    return choose(context, _CANDIDATES, lambda: _portable(context), _FOUR_BITS)


def _summary(context: OpContext) -> str:
    _, filter_height, filter_width, _ = context.input(1).shape
    groups = _groups(context)
    summary = describe_window(context, filter_height, filter_width)
    return summary + (f", {groups} groups" if groups > 1 else "")


def _emit_int16(context: OpContext) -> Emission:
    _, filter_height, filter_width, depth = context.input(1).shape
    chosen = products(context, _by_channel(context), _multipliers(context))
    params = {
        "window": window_params(context, filter_height, filter_width),
        "filter_channels": depth,
        **activation_fields(context),
        **chosen.fields,
    }
    macs = context.output.elements * filter_height * filter_width * depth
    return product_emission(context, "conv_2d", chosen, params, _summary(context), macs)


OP = with_int16(
    Operation("CONV_2D", versions=6, inputs=(2, 3), check=_check, emit=_emit),
    _check_int16,
    _emit_int16,
)

"""TRANSPOSE_CONV: any window and stride; weights per channel or per tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from converters.tflite.graph import Array, TensorType
from converters.tflite.multiplier import Multiplier
from converters.tflite.options import TransposeConvOptions
from device_runners.cgen import checks
from device_runners.cgen.convolution import (
    bias_values,
    channel_multipliers,
    window,
)
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.int16 import REASON, with_int16
from device_runners.cgen.int16_products import (
    activation_fields,
    check_products,
    check_sums,
    wide_arrays,
)
from device_runners.cgen.moves import integers
from device_runners.cgen.operation import (
    Emission,
    KernelCall,
    OpContext,
    Operation,
)
from device_runners.cgen.transposition import transposed

_SHAPE, _WEIGHTS, _INPUT, _BIAS = range(4)


def _as_convolution(context: OpContext) -> OpContext:
    """The operator with its operands in the order of CONV_2D: input, weights, bias."""
    inputs = context.operator.inputs
    ordered = (inputs[_INPUT], inputs[_WEIGHTS], *inputs[_BIAS:])
    return replace(context, operator=replace(context.operator, inputs=ordered))


def _options(context: OpContext) -> TransposeConvOptions:
    options = context.operator.options
    assert isinstance(options, TransposeConvOptions)
    return options


def _check(context: OpContext) -> Iterator[str]:
    yield from checks.constant(context, _SHAPE, "output shape", TensorType.INT32)
    convolution = _as_convolution(context)
    basics = [
        *checks.int8_activations(convolution),
        *checks.options(context, TransposeConvOptions),
        *checks.weights(convolution, 4),
    ]
    yield from basics
    shapes = [] if basics or context.input(_SHAPE).data is None else list(_check_shapes(context))
    yield from shapes
    if basics or shapes or context.input(_SHAPE).data is None:
        return
    bounds = checks.accumulator_bounds(
        _by_channel(convolution), convolution.input(0).zero_point, bias_values(convolution)
    )
    yield from checks.accumulators(bounds, _multipliers(convolution))


def _check_int16(context: OpContext) -> Iterator[str]:
    convolution = _as_convolution(context)
    basics = [
        *checks.constant(context, _SHAPE, "output shape", TensorType.INT32),
        *check_products(convolution, TransposeConvOptions, 4),
    ]
    yield from basics
    shapes = [] if basics else list(_check_shapes(context))
    yield from shapes
    if not basics and not shapes:
        yield from check_sums(convolution, _by_channel(convolution), _multipliers(convolution))


def _by_channel(convolution: OpContext) -> Array:
    """(channels, taps) the weights."""
    return convolution.data(1).reshape(convolution.input(1).shape[0], -1)


def _multipliers(convolution: OpContext) -> list[Multiplier]:
    return channel_multipliers(convolution, convolution.input(1).shape[0])


def _check_shapes(context: OpContext) -> Iterator[str]:
    convolution = _as_convolution(context)
    source, weights = convolution.input(0), convolution.input(1)
    geometry = [
        *checks.rank(source, 4, "input 2"),
        *checks.positive_options(context, "stride_h", "stride_w"),
    ]
    yield from geometry
    if geometry:
        return
    yield from checks.activation(context)
    yield from checks.symmetric_weights(convolution, axis=0)
    channels, depth = weights.shape[0], weights.shape[3]
    shape = integers(context, _SHAPE)
    if source.shape[3] != depth or len(shape) != 4 or shape[::3] != [source.shape[0], channels]:
        yield (f"makes {shape} of {list(source.shape)} with weights of shape {list(weights.shape)}")
        return
    yield from checks.output_shape(context, shape)
    yield from checks.bias_size(convolution, channels)


def _emit(context: OpContext) -> Emission:
    convolution = _as_convolution(context)
    kernel, calls, constants, scratch_bytes = transposed(convolution, _geometry(context))
    return Emission(
        kernel=kernel,
        calls=calls,
        summary=_summary(context),
        constants=(*constants, *operand_arrays(convolution, 0)),
        macs=_macs(context),
        scratch_bytes=scratch_bytes,
        reason="a convolution for each remainder of places by the strides",
    )


def _geometry(context: OpContext) -> dict[str, int]:
    """The fields of the int16 kernel's parameters in front of the clamp."""
    convolution, options = _as_convolution(context), _options(context)
    source, output = convolution.input(0), context.output
    channels, filter_height, filter_width, depth = convolution.input(1).shape
    # The padding is that of the convolution that this one is the transpose of.
    pads = [
        window(options.padding, size, filter_size, stride, 1).pad
        for size, filter_size, stride in (
            (output.shape[1], filter_height, options.stride_h),
            (output.shape[2], filter_width, options.stride_w),
        )
    ]
    return {
        "batches": source.shape[0],
        "input_height": source.shape[1],
        "input_width": source.shape[2],
        "input_channels": depth,
        "output_height": output.shape[1],
        "output_width": output.shape[2],
        "output_channels": channels,
        "filter_height": filter_height,
        "filter_width": filter_width,
        "stride_height": options.stride_h,
        "stride_width": options.stride_w,
        "pad_top": pads[0],
        "pad_left": pads[1],
    }


def _summary(context: OpContext) -> str:
    options = _options(context)
    _, filter_height, filter_width, _ = context.input(_WEIGHTS).shape
    return (
        f"{filter_height}x{filter_width} window, stride {options.stride_h}x{options.stride_w}, "
        f"{options.padding}"
    )


def _macs(context: OpContext) -> int:
    channels, filter_height, filter_width, _ = context.input(_WEIGHTS).shape
    return context.input(_INPUT).elements * filter_height * filter_width * channels


def _emit_int16(context: OpContext) -> Emission:
    convolution = _as_convolution(context)
    fields, arrays = wide_arrays(convolution, _multipliers(convolution))
    params = {**_geometry(context), **activation_fields(convolution), **fields}
    name = "tidepool_transpose_conv_int16"
    source = convolution.input(0).index
    return Emission(
        kernel="transpose_conv_int16",
        calls=(KernelCall(name, f"{name}_params", params, (source,), element_bytes=2),),
        summary=_summary(context),
        constants=(*arrays, *operand_arrays(convolution, 0)),
        macs=_macs(context),
        reason=REASON,
    )


OP = with_int16(
    Operation("TRANSPOSE_CONV", versions=5, inputs=(3, 4), check=_check, emit=_emit),
    _check_int16,
    _emit_int16,
)

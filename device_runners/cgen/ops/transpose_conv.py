"""TRANSPOSE_CONV: any window and stride; weights per channel or per tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from converters.tflite.graph import TensorType
from converters.tflite.options import TransposeConvOptions
from device_runners.cgen import checks
from device_runners.cgen.convolution import (
    bias_values,
    channel_multipliers,
    multiplier_arrays,
    window,
)
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.moves import integers
from device_runners.cgen.operation import (
    ConstantArray,
    Emission,
    KernelCall,
    OpContext,
    Operation,
    Symbol,
)
from device_runners.cgen.requantization import activation_range

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
    if basics or context.input(_SHAPE).data is None:
        return
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
    bounds = checks.accumulator_bounds(
        convolution.data(1).reshape(channels, -1), source.zero_point, bias_values(convolution)
    )
    yield from checks.accumulators(bounds, channel_multipliers(convolution, channels))


def _emit(context: OpContext) -> Emission:
    convolution, options = _as_convolution(context), _options(context)
    source, weights, output = convolution.input(0), convolution.input(1), context.output
    channels, filter_height, filter_width, depth = weights.shape
    low, high = activation_range(output, options.fused_activation_function)
    multipliers, shifts = multiplier_arrays(convolution, channel_multipliers(convolution, channels))
    taps = ConstantArray(f"t{weights.index}_weights", "int8_t", convolution.data(1), weights.name)
    arrays, bias, bias_name = [taps, multipliers, shifts], convolution.optional_input(2), "NULL"
    if bias is not None:
        bias_name = f"t{bias.index}_bias"
        arrays.append(ConstantArray(bias_name, "int32_t", convolution.data(2), bias.name))
    # The padding is that of the convolution that this one is the transpose of.
    pads = [
        window(options.padding, size, filter_size, stride, 1).pad
        for size, filter_size, stride in (
            (output.shape[1], filter_height, options.stride_h),
            (output.shape[2], filter_width, options.stride_w),
        )
    ]
    params: dict[str, object] = {
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
        "input_zero_point": source.zero_point,
        "output_zero_point": output.zero_point,
        "output_min": low,
        "output_max": high,
        "weights": Symbol(taps.name),
        "bias": Symbol(bias_name),
        "multipliers": Symbol(multipliers.name),
        "shifts": Symbol(shifts.name),
    }
    call = KernelCall(
        "tidepool_transpose_conv", "tidepool_transpose_conv_params", params, (source.index,)
    )
    return Emission(
        kernel="transpose_conv",
        calls=(call,),
        summary=f"{filter_height}x{filter_width} window, stride {options.stride_h}x"
        f"{options.stride_w}, {options.padding}",
        constants=(*arrays, *operand_arrays(convolution, 0)),
        macs=source.elements * filter_height * filter_width * channels,
    )


OP = Operation("TRANSPOSE_CONV", versions=5, inputs=(3, 4), check=_check, emit=_emit)

"""SVDF with int8 input and output, int16 weights over time and an int16 state, fused with RELU.

RELU clamps nothing by itself, as in the reference: the output's zero point is what stands for it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import Activation, TensorType
from converters.tflite.multiplier import Multiplier
from converters.tflite.options import SVDFOptions
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
from device_runners.cgen.recurrent import (
    check_state,
    check_sums,
    float32_factor,
    weights_scale,
    zero_point_bias,
)

_FEATURE, _TIME, _BIAS, _STATE = 1, 2, 3, 4


def _options(context: OpContext) -> SVDFOptions:
    options = context.operator.options
    assert isinstance(options, SVDFOptions)
    return options


def _feature_factor(context: OpContext) -> Multiplier:
    source, weights, state = (context.input(position) for position in (0, _FEATURE, _STATE))
    return float32_factor(source.scale, weights.scale, state.scale)


def _output_factor(context: OpContext) -> Multiplier:
    state, weights = context.input(_STATE), context.input(_TIME)
    return float32_factor(state.scale, weights.scale, context.output.scale)


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_activations(context),
        *checks.options(context, SVDFOptions),
        *checks.constant(context, _FEATURE, "feature weights", TensorType.INT8),
        *checks.constant(context, _TIME, "time weights", TensorType.INT16),
    ]
    if context.optional_input(_BIAS) is not None:
        basics += checks.constant(context, _BIAS, "bias values", TensorType.INT32)
    yield from basics
    if basics:
        return
    operands = [
        *checks.rank(context.input(0), 2, "an input"),
        *checks.rank(context.input(_FEATURE), 2, "a tensor of feature weights"),
        *checks.rank(context.input(_TIME), 2, "a tensor of time weights"),
        *weights_scale(context.input(_FEATURE), "feature weights"),
        *weights_scale(context.input(_TIME), "time weights"),
    ]
    yield from operands
    if not operands:
        yield from _check_sizes(context)


def _check_sizes(context: OpContext) -> Iterator[str]:
    options = _options(context)
    if options.fused_activation_function is not Activation.RELU:
        fused = options.fused_activation_function
        yield f"has the fused activation {fused}; the reference needs RELU"
    batches, size = context.input(0).shape
    filters, depth = context.input(_FEATURE).shape
    rows, memory = context.input(_TIME).shape
    if options.rank < 1 or filters % options.rank:
        yield f"has {filters} filters, which is no multiple of its rank {options.rank}"
        return
    if depth != size or rows != filters or memory < 1:
        yield (
            f"has feature weights of shape {[filters, depth]} and time weights of shape "
            f"{[rows, memory]} for inputs of {size} elements"
        )
        return
    units = filters // options.rank
    bias = context.optional_input(_BIAS)
    if bias is not None and bias.elements != units:
        yield f"has {bias.elements} bias values for {units} units"
    yield from checks.output_shape(context, (batches, units))
    states = list(check_state(context, _STATE, TensorType.INT16, batches * filters * memory))
    yield from states
    if not states:
        yield from _check_factors(context)


def _check_factors(context: OpContext) -> Iterator[str]:
    weights, zero_point = context.data(_FEATURE), context.input(0).zero_point
    bounds = checks.accumulator_bounds(weights, 0, zero_point_bias(weights, zero_point))
    yield from check_sums(bounds, _feature_factor(context))
    if _output_factor(context).shift > -1:
        scale = context.output.scale
        yield f"has the output scale {scale:.9g}; the factor of its sums has to be below 1/2"


def _emit(context: OpContext) -> Emission:
    source, state, output = context.input(0), context.input(_STATE), context.output
    rank = _options(context).rank
    filters, memory = context.input(_TIME).shape
    feature, time = context.input(_FEATURE), context.input(_TIME)
    sums = zero_point_bias(context.data(_FEATURE), source.zero_point).astype(np.int32)
    arrays = [
        ConstantArray(f"t{feature.index}_weights", "int8_t", context.data(_FEATURE), feature.name),
        ConstantArray(context.name("feature_bias"), "int32_t", sums),
        ConstantArray(f"t{time.index}_weights", "int16_t", context.data(_TIME), time.name),
    ]
    bias, bias_name = context.optional_input(_BIAS), "NULL"
    if bias is not None:
        bias_name = f"t{bias.index}_bias"
        arrays.append(ConstantArray(bias_name, "int32_t", context.data(_BIAS), bias.name))
    to_state, to_output = _feature_factor(context), _output_factor(context)
    batches, size = source.shape
    params: dict[str, object] = {
        "batches": batches,
        "input_size": size,
        "units": filters // rank,
        "rank": rank,
        "memory": memory,
        "feature_multiplier": to_state.value,
        "feature_shift": to_state.shift,
        "output_multiplier": to_output.value,
        "output_shift": to_output.shift,
        "output_zero_point": output.zero_point,
        "weights_feature": Symbol(arrays[0].name),
        "feature_bias": Symbol(arrays[1].name),
        "weights_time": Symbol(arrays[2].name),
        "bias": Symbol(bias_name),
    }
    call = KernelCall(
        "tidepool_svdf", "tidepool_svdf_params", params, (source.index,), states=(state.index,)
    )
    return Emission(
        kernel="svdf",
        calls=(call,),
        summary=f"{filters} filters of rank {rank} over {memory} steps",
        constants=(*arrays, *operand_arrays(context, 0)),
        macs=batches * filters * (size + memory),
    )


OP = Operation("SVDF", versions=4, inputs=(5, 5), check=_check, emit=_emit)

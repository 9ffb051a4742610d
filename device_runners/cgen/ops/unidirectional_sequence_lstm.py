"""UNIDIRECTIONAL_SEQUENCE_LSTM with int8 weights, int8 hidden and int16 cell state, gates in Q3.12.

With or without an input gate, over time or batch first; no peepholes, no projection, no layer
normalization. The output is in the quantization of the fifth intermediate tensor, as the reference
computes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from converters.tflite.graph import Activation, Array, Tensor, TensorType
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import UnidirectionalSequenceLSTMOptions
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

_HIDDEN, _CELL = 18, 19
_INTERMEDIATES, _HIDDEN_SCALE = 5, 4
_GATE_SCALE = 2.0**-12
# Of the largest cell scale that the reference's tanh takes, and of the smallest.
_CELL_EXPONENTS = (-15, -9)
_REFUSED = {
    "peepholes": (9, 10, 11),
    "a projection": (16, 17),
    "layer normalization": (20, 21, 22, 23),
}


@dataclass(frozen=True)
class _Gate:
    """Which inputs of the operator belong to a gate."""

    name: str
    input_weights: int
    recurrent_weights: int
    bias: int


_GATES = (
    _Gate("input", 1, 5, 12),
    _Gate("forget", 2, 6, 13),
    _Gate("cell", 3, 7, 14),
    _Gate("output", 4, 8, 15),
)


def _options(context: OpContext) -> UnidirectionalSequenceLSTMOptions:
    options = context.operator.options
    assert isinstance(options, UnidirectionalSequenceLSTMOptions)
    return options


def _gates(context: OpContext) -> tuple[_Gate, ...]:
    """All four, or those but the input gate, which the forget gate stands for."""
    return _GATES if context.optional_input(_GATES[0].input_weights) is not None else _GATES[1:]


# ---- Check ------------------------------------------------------------------------------------


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_activations(context),
        *checks.options(context, UnidirectionalSequenceLSTMOptions),
    ]
    for what, positions in _REFUSED.items():
        if any(context.optional_input(position) is not None for position in positions):
            basics.append(f"has {what}, which is not supported")
    for gate in _gates(context):
        for position, role in (
            (gate.input_weights, "input weights"),
            (gate.recurrent_weights, "recurrent weights"),
        ):
            basics += checks.constant(context, position, f"{gate.name} {role}", TensorType.INT8)
        basics += checks.constant(context, gate.bias, f"{gate.name} bias", TensorType.INT32)
    yield from basics
    if not basics:
        options = list(_check_options(context))
        yield from options
        shapes = list(_check_shapes(context))
        yield from shapes
        if not (options or shapes):
            yield from _check_factors(context)


def _check_options(context: OpContext) -> Iterator[str]:
    options = _options(context)
    if options.fused_activation_function is not Activation.TANH:
        fused = options.fused_activation_function
        yield f"has the activation {fused}; the reference computes TANH only"
    if options.diagonal_recurrent_tensors:
        yield "has diagonal recurrent weights, which is not supported"
    if not 0 <= options.cell_clip < math.inf:
        yield f"clips its cell at {options.cell_clip}"


def _check_shapes(context: OpContext) -> Iterator[str]:
    source = context.input(0)
    if len(source.shape) != 3:
        yield f"has an input of shape {list(source.shape)}; 3 dimensions are supported"
        return
    units = context.input(_GATES[-1].input_weights).shape[0]
    for gate in _gates(context):
        for position, columns in (
            (gate.input_weights, source.shape[2]),
            (gate.recurrent_weights, units),
        ):
            tensor = context.input(position)
            yield from weights_scale(tensor, f"{gate.name} gate weights")
            if tensor.shape != (units, columns):
                yield f"has {gate.name} gate weights of shape {list(tensor.shape)}"
        if context.input(gate.bias).shape != (units,):
            yield f"has {context.input(gate.bias).elements} {gate.name} bias values"
    yield from checks.output_shape(context, (*source.shape[:2], units))
    batches = source.shape[1] if _options(context).time_major else source.shape[0]
    yield from check_state(context, _HIDDEN, TensorType.INT8, batches * units)
    yield from check_state(context, _CELL, TensorType.INT16, batches * units)


def _check_factors(context: OpContext) -> Iterator[str]:
    mantissa, exponent = math.frexp(context.input(_CELL).scale)
    lowest, highest = _CELL_EXPONENTS
    if mantissa != 0.5 or not lowest <= exponent - 1 <= highest:
        scale = context.input(_CELL).scale
        yield f"has the cell scale {scale:.9g}; powers of two up to 2^{highest} are supported"
    if len(context.operator.intermediates) != _INTERMEDIATES:
        count = len(context.operator.intermediates)
        yield f"has {count} intermediate tensors; {_INTERMEDIATES} are needed"
        return
    inside = context.operator.intermediates[_HIDDEN_SCALE]
    quantization = None if inside < 0 else context.graph.tensor(inside).quantization
    if quantization is None or quantization.per_channel or not quantization.scales[0] > 0:
        yield "has no scale for what is hidden (its fifth intermediate tensor)"
    elif _hidden_factor(context).shift > 0:
        yield f"has the scale {quantization.scales[0]:.9g} for what is hidden, which is too fine"
    for gate in _gates(context):
        yield from _check_gate(context, gate)


def _check_gate(context: OpContext, gate: _Gate) -> Iterator[str]:
    for position, bias, factor in zip(
        (gate.input_weights, gate.recurrent_weights),
        _biases(context, gate),
        _factors(context, gate),
        strict=True,
    ):
        bounds = checks.accumulator_bounds(context.data(position), 0, bias)
        yield from check_sums(bounds, factor)


# ---- Emission ---------------------------------------------------------------------------------


def _hidden_tensor(context: OpContext) -> Tensor:
    return context.graph.tensor(context.operator.intermediates[_HIDDEN_SCALE])


def _hidden_factor(context: OpContext) -> Multiplier:
    """2^-30 / scale, divided in double and rounded to float32 as in the reference."""
    return quantize_multiplier(
        float(np.float32(2.0**-15 / _hidden_tensor(context).scale * 2.0**-15))
    )


def _factors(context: OpContext, gate: _Gate) -> tuple[Multiplier, Multiplier]:
    """Of the sums over the input and over what is hidden, to Q3.12."""
    source, hidden = context.input(0), context.input(_HIDDEN)
    weights = context.input(gate.input_weights), context.input(gate.recurrent_weights)
    return (
        float32_factor(weights[0].scale, source.scale, _GATE_SCALE),
        float32_factor(weights[1].scale, hidden.scale, _GATE_SCALE),
    )


def _biases(context: OpContext, gate: _Gate) -> tuple[Array, Array]:
    """(units,) int64 each: what the sums over the input and over what is hidden start with."""
    bias = context.data(gate.bias).astype(np.int64)
    zero_points = context.input(0).zero_point, context.input(_HIDDEN).zero_point
    return (
        bias + zero_point_bias(context.data(gate.input_weights), zero_points[0]),
        zero_point_bias(context.data(gate.recurrent_weights), zero_points[1]),
    )


def _gate_params(
    context: OpContext, gate: _Gate
) -> tuple[dict[str, object], tuple[ConstantArray, ...]]:
    arrays = []
    for position in (gate.input_weights, gate.recurrent_weights):
        tensor = context.input(position)
        name = f"t{tensor.index}_weights"
        arrays.append(ConstantArray(name, "int8_t", context.data(position), tensor.name))
    for what, bias in zip(("input", "recurrent"), _biases(context, gate), strict=True):
        name = context.name(f"{gate.name}_gate_{what}_bias")
        arrays.append(ConstantArray(name, "int32_t", bias.astype(np.int32)))
    factors = _factors(context, gate)
    params: dict[str, object] = {
        "input_weights": Symbol(arrays[0].name),
        "recurrent_weights": Symbol(arrays[1].name),
        "input_bias": Symbol(arrays[2].name),
        "recurrent_bias": Symbol(arrays[3].name),
        "input_multiplier": factors[0].value,
        "input_shift": factors[0].shift,
        "recurrent_multiplier": factors[1].value,
        "recurrent_shift": factors[1].shift,
    }
    return params, tuple(arrays)


def _emit(context: OpContext) -> Emission:
    source, options = context.input(0), _options(context)
    first, second, size = source.shape
    steps, batches = (first, second) if options.time_major else (second, first)
    units = context.output.shape[2]
    gates = _gates(context)
    hidden = _hidden_factor(context)
    params: dict[str, object] = {
        "batches": batches,
        "steps": steps,
        "batch_stride": 1 if options.time_major else steps,
        "step_stride": batches if options.time_major else 1,
        "input_size": size,
        "units": units,
        "coupled": int(len(gates) < len(_GATES)),
        "cell_bits": 14 + math.frexp(context.input(_CELL).scale)[1],
        "cell_clip": _cell_clip(context),
        "hidden_multiplier": hidden.value,
        "hidden_shift": hidden.shift,
        "hidden_zero_point": _hidden_tensor(context).zero_point,
    }
    constants: tuple[ConstantArray, ...] = operand_arrays(context, 0)
    for gate in gates:
        params[f"{gate.name}_gate"], arrays = _gate_params(context, gate)
        constants += arrays
    states = (context.operator.inputs[_HIDDEN], context.operator.inputs[_CELL])
    call = KernelCall(
        "tidepool_lstm", "tidepool_lstm_params", params, (source.index,), states=states
    )
    return Emission(
        kernel="lstm",
        calls=(call,),
        summary=f"{size} to {units} over {steps} steps",
        constants=constants,
        macs=batches * steps * units * len(gates) * (size + units),
    )


def _cell_clip(context: OpContext) -> int:
    """In steps of the cell, towards zero; divided in float32 as in the reference."""
    clip = np.float32(_options(context).cell_clip) / np.float32(context.input(_CELL).scale)
    return int(min(float(clip), 32767.0))


OP = Operation(
    "UNIDIRECTIONAL_SEQUENCE_LSTM", versions=4, inputs=(24, 24), check=_check, emit=_emit
)

"""Turns a dense layer on several rows into RESHAPE, CONV_2D with kernel size 1 and RESHAPE.

A Dense layer on an input of three or more dimensions keeps them (``keep_num_dims``, version 5 of
FULLY_CONNECTED) and stays on the CPU; without that flag, several rows are at risk, since Coral
documents one.

Exact: both kernels sum the same products, and differ only in how they round the factor from
accumulator to output if the weights have a single scale: FULLY_CONNECTED multiplies the scales of
input and weights in float32, CONV_2D in double precision. The accumulators at which the output
steps from one integer to the next are compared, over all that the weights can reach; where they
differ, the weights' scale is moved by a few units in the last place of its float32 until they
agree. If none agrees, it stays a FULLY_CONNECTED, with a RESHAPE to two dimensions around it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converters.tflite.graph import (
    Array,
    Graph,
    Operator,
    Padding,
    Quantization,
    Tensor,
    TensorType,
)
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import Conv2DOptions, FullyConnectedOptions
from device_runners.edge_tpu.operands import input_of
from device_runners.edge_tpu.rewrites.edit import GraphEdit, reshape
from device_runners.edge_tpu.rewrites.edit import operator as new_operator

_INT8 = np.iinfo(np.int8)
_INT32 = np.iinfo(np.int32)
_DEFAULT_FORMAT = 0
# How far the weights' scale may be moved: 8 units in the last place are one part in a million.
_STEPS = sorted(range(-8, 9), key=abs)


def match(graph: Graph, operator: Operator) -> bool:
    """An int8 FULLY_CONNECTED that keeps its dimensions, or has several rows and an equal."""
    options = operator.options
    if not isinstance(options, FullyConnectedOptions) or not _is_plain(graph, operator):
        return False
    return options.keep_num_dims or (_rows(graph, operator) > 1 and _scale(graph, operator) > 0)


def transform(graph: Graph, operator: Operator) -> Graph:
    """The convolution, or the dense layer on two dimensions if that is all that is exact."""
    scale = _scale(graph, operator) if _rows(graph, operator) > 1 else 0.0
    return _convolution(graph, operator, scale) if scale else _flat(graph, operator)


def _is_plain(graph: Graph, operator: Operator) -> bool:
    """8-bit throughout, with constant symmetric weights and bias in the default format."""
    source, weights, bias = (input_of(graph, operator, i) for i in range(3))
    if operator.opcode != "FULLY_CONNECTED" or source is None or weights is None:
        return False
    options, tensors = operator.options, (source, weights, *graph.outputs_of(operator))
    return (
        isinstance(options, FullyConnectedOptions)
        and options.weights_format == _DEFAULT_FORMAT
        and len(operator.outputs) == 1
        and all(t.type is TensorType.INT8 and t.quantization is not None for t in tensors)
        and weights.quantization is not None
        and not any(weights.quantization.zero_points)
        and weights.data is not None
        and len(weights.shape) == 2
        and (bias is None or (bias.type is TensorType.INT32 and bias.is_constant))
    )


def _rows(graph: Graph, operator: Operator) -> int:
    source, weights = (graph.tensors[index] for index in operator.inputs[:2])
    return source.elements // weights.shape[1]


def _flat(graph: Graph, operator: Operator) -> Graph:
    source, weights = (graph.tensors[index] for index in operator.inputs[:2])
    output, rows = graph.outputs_of(operator)[0], _rows(graph, operator)
    options = operator.options
    assert isinstance(options, FullyConnectedOptions)
    inner = replace(operator, version=4, options=replace(options, keep_num_dims=False))
    if len(operator.inputs) == 2:
        inner = replace(inner, inputs=(*operator.inputs, -1))
    return _between_reshapes(
        graph, operator, inner, (rows, weights.shape[1]), (rows, output.shape[-1]), source
    )


def _convolution(graph: Graph, operator: Operator, scale: float) -> Graph:
    source, weights = (graph.tensors[index] for index in operator.inputs[:2])
    output, rows = graph.outputs_of(operator)[0], _rows(graph, operator)
    units, depth = weights.shape
    options = operator.options
    assert isinstance(options, FullyConnectedOptions) and weights.data is not None
    assert weights.quantization is not None
    edit = GraphEdit(graph)
    quantization = weights.quantization
    if not quantization.per_channel:
        quantization = replace(quantization, scales=(scale,))
    filters = edit.constant(
        f"{weights.name}/filters", weights.data.reshape(units, 1, 1, depth), quantization
    )
    bias = input_of(graph, operator, 2)
    if bias is None:
        # CONV_2D as converters write it has one.
        scales = tuple(float(np.float32(source.scale * s)) for s in quantization.scales)
        zeros = Quantization(scales, (0,) * len(scales))
        added = edit.constant(f"{output.name}/bias", np.zeros(units, np.int32), zeros)
    else:
        added = bias.index
    inner = new_operator(
        "CONV_2D",
        3,
        Conv2DOptions(
            padding=Padding.VALID,
            fused_activation_function=options.fused_activation_function,
        ),
        [source.index, filters, added],
        operator.outputs,
    )
    return _between_reshapes(
        edit.graph(), operator, inner, (1, 1, rows, depth), (1, 1, rows, units), source
    )


def _between_reshapes(
    graph: Graph,
    operator: Operator,
    inner: Operator,
    before: tuple[int, ...],
    after: tuple[int, ...],
    source: Tensor,
) -> Graph:
    """Puts an operator in the place of another, with reshapes where its shapes differ."""
    edit = GraphEdit(graph)
    output = graph.outputs_of(operator)[0]
    start, end = source.index, output.index
    operators: list[Operator] = []
    if source.shape != before:
        start = edit.like(source, f"rows_of_{operator.index}", shape=before)
        operators.append(reshape(edit, source.index, start, before, output.name))
    if output.shape != after:
        end = edit.like(output, "rows", shape=after)
    operators.append(replace(inner, inputs=(start, *inner.inputs[1:]), outputs=(end,)))
    if output.shape != after:
        operators.append(reshape(edit, end, output.index, output.shape, f"{output.name}/rows"))
    edit.replace(operator, *operators)
    return edit.graph()


def _scale(graph: Graph, operator: Operator) -> float:
    """The weights' scale with which CONV_2D gives the same for every input; 0 if none does."""
    source, weights = (graph.tensors[index] for index in operator.inputs[:2])
    output = graph.outputs_of(operator)[0]
    assert weights.quantization is not None
    if weights.quantization.per_channel:
        return weights.quantization.scales[0]  # the kernels round these alike
    product = float(np.float32(source.scale) * np.float32(weights.scale))
    wanted = quantize_multiplier(product / output.scale)
    low, high = _accumulators(graph, operator)
    options = operator.options
    assert isinstance(options, FullyConnectedOptions)
    for steps in _STEPS:
        scale = _moved(weights.scale, steps)
        found = quantize_multiplier(source.scale * scale / output.scale)
        if found == wanted or same_steps(wanted, found, low, high, output.zero_point):
            return scale
    return 0.0


def _accumulators(graph: Graph, operator: Operator) -> tuple[int, int]:
    """The least and the greatest sum, bias included, that any input can give."""
    source, weights = (graph.tensors[index] for index in operator.inputs[:2])
    bias = input_of(graph, operator, 2)
    assert weights.data is not None
    extremes = np.array([_INT8.min, _INT8.max], np.int64) - source.zero_point
    products = weights.data.astype(np.int64)[..., None] * extremes
    offset: Array | int = 0 if bias is None or bias.data is None else bias.data.astype(np.int64)
    low = (products.min(axis=-1).sum(axis=-1) + offset).min()
    high = (products.max(axis=-1).sum(axis=-1) + offset).max()
    return int(low), int(high)


def same_steps(a: Multiplier, b: Multiplier, low: int, high: int, zero_point: int) -> bool:
    """Whether two factors give the same 8-bit outputs for all accumulators from low to high.

    Both are monotonic: they agree if every output is first reached by the same accumulator.
    """
    if low < _INT32.min or high > _INT32.max or max(a.shift, b.shift) > 0:
        return False  # the kernels' 32-bit sums may wrap around: nothing is known then
    return all(
        _first(a, output - zero_point, low, high) == _first(b, output - zero_point, low, high)
        for output in range(_INT8.min + 1, _INT8.max + 1)
    )


def _first(multiplier: Multiplier, wanted: int, low: int, high: int) -> int:
    """The least accumulator that is rescaled to ``wanted`` or more; ``high + 1`` if none is."""
    end = high + 1
    while low < end:
        middle = (low + end) // 2
        if multiplier.apply(middle) >= wanted:
            end = middle
        else:
            low = middle + 1
    return end


def _moved(scale: float, steps: int) -> float:
    value = np.float32(scale)
    for _ in range(abs(steps)):
        value = np.nextafter(value, np.float32(np.inf if steps > 0 else 0))
    return float(value)

"""PAD disappears into what reads it: another PAD, or convolutions that can pad themselves.

A convolution without padding of its own behind a PAD by the zero point is the same convolution with
SAME padding of what was padded, if SAME puts the windows at the same places.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converters.tflite.graph import Array, Graph, Operator, Padding, TensorType
from converters.tflite.options import Conv2DOptions, DepthwiseConv2DOptions
from device_runners.cgen.convolution import Window, window
from device_runners.cgen.operation import OpContext
from device_runners.cgen.program import DroppedPad, Program, Saving

_PADS = ("PAD", "PADV2")
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def match(program: Program, operator: Operator) -> bool:
    """A PAD that is no output of the graph, and that all its readers can take over."""
    graph = program.graph
    if operator.opcode not in _PADS or operator.outputs[0] in graph.outputs:
        return False
    if graph.tensor(operator.inputs[0]).is_constant:
        return False
    readers = graph.consumers(operator.outputs[0])
    return bool(readers) and all(_takes_over(graph, operator, reader) for reader in readers)


def transform(program: Program, operator: Operator) -> Program:
    """Gives the readers the PAD's input, and removes the PAD."""
    graph = program.graph
    source, output = operator.inputs[0], operator.outputs[0]
    tensors = list(graph.tensors)
    operators: list[Operator] = []
    for other in graph.operators:
        if other.index == operator.index:
            continue
        changed = other
        if output in other.inputs:
            inputs = [source if tensor == output else tensor for tensor in other.inputs]
            if other.opcode in _PADS:
                paddings = graph.tensor(other.inputs[1])
                total = _paddings(graph, other) + _paddings(graph, operator)
                inputs[1] = len(tensors)
                tensors.append(
                    replace(paddings, index=inputs[1], type=TensorType.INT32, data=total)
                )
                changed = replace(other, inputs=tuple(inputs))
            else:
                options = other.options
                assert isinstance(options, Conv2DOptions | DepthwiseConv2DOptions)
                options = replace(options, padding=Padding.SAME)
                changed = replace(other, inputs=tuple(inputs), options=options)
        operators.append(replace(changed, index=len(operators)))
    padded = graph.tensor(output)
    dropped = DroppedPad(
        source=source,
        paddings=tuple((int(a), int(b)) for a, b in _paddings(graph, operator)),
        value=_value(graph, operator),
    )
    text = f"{operator.opcode} to {padded.bytes} bytes went into what reads it"
    return replace(
        program,
        graph=replace(graph, tensors=tuple(tensors), operators=tuple(operators)),
        dropped={**program.dropped, output: dropped},
        savings=(*program.savings, Saving("drop_pads", text, 1)),
    )


def _paddings(graph: Graph, operator: Operator) -> Array:
    """(dimensions, 2) int32: in front and behind."""
    return OpContext(graph, operator).data(1).astype(np.int32)


def _value(graph: Graph, operator: Operator) -> int:
    context = OpContext(graph, operator)
    if operator.opcode == "PADV2":
        return int(context.data(2).ravel()[0])
    return context.output.zero_point


def _takes_over(graph: Graph, pad: Operator, reader: Operator) -> bool:
    if reader.inputs[0] != pad.outputs[0] or pad.outputs[0] in reader.inputs[1:]:
        return False
    if reader.opcode in _PADS:
        return _value(graph, pad) == _value(graph, reader)
    if reader.opcode not in _CONVOLUTIONS:
        return False
    zero_point = graph.tensor(pad.outputs[0]).zero_point
    return _value(graph, pad) == zero_point and _is_same_padding(graph, pad, reader)


def _is_same_padding(graph: Graph, pad: Operator, convolution: Operator) -> bool:
    """Whether SAME puts the windows where PAD and VALID put them."""
    options, paddings = convolution.options, _paddings(graph, pad)
    assert isinstance(options, Conv2DOptions | DepthwiseConv2DOptions)
    if options.padding is not Padding.VALID or paddings[[0, 3]].any():
        return False
    sizes = graph.tensor(pad.inputs[0]).shape[1:3]
    outputs = graph.tensor(convolution.outputs[0]).shape[1:3]
    filters = graph.tensor(convolution.inputs[1]).shape[1:3]
    strides = (options.stride_h, options.stride_w)
    dilations = (options.dilation_h_factor, options.dilation_w_factor)
    return all(
        window(Padding.SAME, sizes[d], filters[d], strides[d], dilations[d])
        == Window(outputs[d], int(paddings[1 + d, 0]))
        for d in (0, 1)
    )

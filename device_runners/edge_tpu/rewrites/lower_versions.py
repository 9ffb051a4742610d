"""Writes the version of an op that the operator itself needs.

The converter gives all operators of an op the newest version that one of them needs: one grouped
convolution makes every CONV_2D of the file a version 6, which the compiler refuses, and one dense
layer that keeps its dimensions makes every FULLY_CONNECTED a version 5, which stays on the CPU.

Exact: a version says what a kernel must know of; an older version with the same inputs and options
computes the same. The versions follow TFLite's own list (``tools/versioning/op_version.cc``).
"""

from __future__ import annotations

from dataclasses import replace

from converters.tflite.graph import Activation, Graph, Operator
from converters.tflite.options import (
    Conv2DOptions,
    FullyConnectedOptions,
    StridedSliceOptions,
    TransposeConvOptions,
)
from device_runners.edge_tpu.operands import EIGHT_BIT, activations, input_of
from device_runners.edge_tpu.rewrites.edit import GraphEdit
from device_runners.edge_tpu.versions import accepts

# Opcode -> the version that has its int8 kernel, whatever the options.
_INT8_VERSIONS = dict.fromkeys(
    (
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "L2_NORMALIZATION",
        "LOGISTIC",
        "MAX_POOL_2D",
        "MEAN",
        "PACK",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "RELU",
        "RELU6",
        "SOFTMAX",
        "SPLIT",
        "SUM",
        "TANH",
    ),
    2,
) | {"MUL": 3, "QUANTIZE": 1, "RESHAPE": 1}
_RANK_OF_FIRST_KERNELS = 4
_DEFAULT_FORMAT = 0
_KEEPS_DIMENSIONS = 5


def match(graph: Graph, operator: Operator) -> bool:
    """An operator of a version that doesn't compile or map, which needs an older one only."""
    needed = _needed(graph, operator)
    if needed is None or needed >= operator.version:
        return False
    stays_behind = operator.opcode == "FULLY_CONNECTED" and operator.version == _KEEPS_DIMENSIONS
    return stays_behind or not accepts(operator.opcode, operator.version)


def transform(graph: Graph, operator: Operator) -> Graph:
    """The operator with the version that it needs."""
    needed = _needed(graph, operator)
    assert needed is not None
    edit = GraphEdit(graph)
    edit.replace(operator, replace(operator, version=needed))
    return edit.graph()


def _needed(graph: Graph, operator: Operator) -> int | None:
    """The version that an operator on 8-bit activations needs; None if it isn't sure."""
    tensors = activations(graph, operator)
    if operator.custom_code or not tensors or any(t.type not in EIGHT_BIT for t in tensors):
        return None
    found = _INT8_VERSIONS.get(operator.opcode)
    if operator.opcode in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"):
        found = _weighted(graph, operator)
    elif operator.opcode in ("TRANSPOSE", "SLICE", "PAD", "STRIDED_SLICE"):
        found = _moving(graph, operator)
    return found


def _weighted(graph: Graph, operator: Operator) -> int | None:
    options = operator.options
    weights = input_of(graph, operator, 1)
    if weights is None or weights.type not in EIGHT_BIT:
        return None
    if operator.opcode == "CONV_2D":
        source = input_of(graph, operator, 0)
        plain = source is not None and source.shape[-1:] == weights.shape[-1:]
        return 3 if plain and isinstance(options, Conv2DOptions) else None
    if operator.opcode == "DEPTHWISE_CONV_2D":
        return 3
    if isinstance(options, TransposeConvOptions):
        bias = 2 if input_of(graph, operator, 3) is None else 3
        return bias if options.fused_activation_function is Activation.NONE else None
    if isinstance(options, FullyConnectedOptions):
        plain = not options.keep_num_dims and options.weights_format == _DEFAULT_FORMAT
        return 4 if plain and len(operator.inputs) == 3 else None
    return None


def _moving(graph: Graph, operator: Operator) -> int | None:
    source, options = input_of(graph, operator, 0), operator.options
    if source is None or len(source.shape) > _RANK_OF_FIRST_KERNELS:
        return None
    if isinstance(options, StridedSliceOptions) and (
        options.offset or options.ellipsis_mask or options.new_axis_mask
    ):
        return None
    return 2

"""The builtin ops that TensorFlow Lite Micro has, and how a firmware registers them.

The names are those of ``tflite::MicroMutableOpResolver`` in
``tensorflow/lite/micro/micro_mutable_op_resolver.h`` of August 2026.
"""

from __future__ import annotations

from converters.tflite.graph import Graph, Operator, TensorType

DECODE_OP = "TFLM_DECODE"
"""TFLM's custom op that unpacks compressed weights; the other custom ops aren't known here."""

# One row for each op that upstream's resolver registers as a builtin: opcode -> method.
ADD_METHODS: dict[str, str] = {
    "ABS": "AddAbs",
    "ADD": "AddAdd",
    "ADD_N": "AddAddN",
    "ARG_MAX": "AddArgMax",
    "ARG_MIN": "AddArgMin",
    "ASSIGN_VARIABLE": "AddAssignVariable",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "BATCH_MATMUL": "AddBatchMatMul",
    "BATCH_TO_SPACE_ND": "AddBatchToSpaceNd",
    "BROADCAST_ARGS": "AddBroadcastArgs",
    "BROADCAST_TO": "AddBroadcastTo",
    "CALL_ONCE": "AddCallOnce",
    "CAST": "AddCast",
    "CEIL": "AddCeil",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "COS": "AddCos",
    "CUMSUM": "AddCumSum",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "DEPTH_TO_SPACE": "AddDepthToSpace",
    "DEQUANTIZE": "AddDequantize",
    "DIV": "AddDiv",
    "DYNAMIC_UPDATE_SLICE": "AddDynamicUpdateSlice",
    "ELU": "AddElu",
    "EMBEDDING_LOOKUP": "AddEmbeddingLookup",
    "EQUAL": "AddEqual",
    "EXP": "AddExp",
    "EXPAND_DIMS": "AddExpandDims",
    "FILL": "AddFill",
    "FLOOR": "AddFloor",
    "FLOOR_DIV": "AddFloorDiv",
    "FLOOR_MOD": "AddFloorMod",
    "FULLY_CONNECTED": "AddFullyConnected",
    "GATHER": "AddGather",
    "GATHER_ND": "AddGatherNd",
    "GREATER": "AddGreater",
    "GREATER_EQUAL": "AddGreaterEqual",
    "HARD_SWISH": "AddHardSwish",
    "IF": "AddIf",
    "L2_NORMALIZATION": "AddL2Normalization",
    "L2_POOL_2D": "AddL2Pool2D",
    "LEAKY_RELU": "AddLeakyRelu",
    "LESS": "AddLess",
    "LESS_EQUAL": "AddLessEqual",
    "LOG": "AddLog",
    "LOGICAL_AND": "AddLogicalAnd",
    "LOGICAL_NOT": "AddLogicalNot",
    "LOGICAL_OR": "AddLogicalOr",
    "LOGISTIC": "AddLogistic",
    "LOG_SOFTMAX": "AddLogSoftmax",
    "MAXIMUM": "AddMaximum",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MINIMUM": "AddMinimum",
    "MIRROR_PAD": "AddMirrorPad",
    "MUL": "AddMul",
    "NEG": "AddNeg",
    "NOT_EQUAL": "AddNotEqual",
    "PACK": "AddPack",
    "PAD": "AddPad",
    "PADV2": "AddPadV2",
    "PRELU": "AddPrelu",
    "QUANTIZE": "AddQuantize",
    "READ_VARIABLE": "AddReadVariable",
    "REDUCE_ALL": "AddReduceAll",
    "REDUCE_MAX": "AddReduceMax",
    "REDUCE_MIN": "AddReduceMin",
    "RELU": "AddRelu",
    "RELU6": "AddRelu6",
    "RESHAPE": "AddReshape",
    "RESIZE_BILINEAR": "AddResizeBilinear",
    "RESIZE_NEAREST_NEIGHBOR": "AddResizeNearestNeighbor",
    "REVERSE_V2": "AddReverseV2",
    "ROUND": "AddRound",
    "RSQRT": "AddRsqrt",
    "SELECT_V2": "AddSelectV2",
    "SHAPE": "AddShape",
    "SIN": "AddSin",
    "SLICE": "AddSlice",
    "SOFTMAX": "AddSoftmax",
    "SPACE_TO_BATCH_ND": "AddSpaceToBatchNd",
    "SPACE_TO_DEPTH": "AddSpaceToDepth",
    "SPLIT": "AddSplit",
    "SPLIT_V": "AddSplitV",
    "SQRT": "AddSqrt",
    "SQUARE": "AddSquare",
    "SQUARED_DIFFERENCE": "AddSquaredDifference",
    "SQUEEZE": "AddSqueeze",
    "STRIDED_SLICE": "AddStridedSlice",
    "SUB": "AddSub",
    "SUM": "AddSum",
    "SVDF": "AddSvdf",
    "TANH": "AddTanh",
    "TRANSPOSE": "AddTranspose",
    "TRANSPOSE_CONV": "AddTransposeConv",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
    "UNPACK": "AddUnpack",
    "VAR_HANDLE": "AddVarHandle",
    "WHILE": "AddWhile",
    "ZEROS_LIKE": "AddZerosLike",
}

# Ops with a registration that leaves the other element types' kernels out of the firmware. Where
# the library has no such kernel, upstream's header falls back to the general registration.
# PAD and TRANSPOSE have one too, in headers that the resolver's doesn't include.
_INT8_REGISTRATIONS = frozenset(
    {
        "ADD",
        "AVERAGE_POOL_2D",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MINIMUM",
        "MUL",
        "SOFTMAX",
        "SVDF",
        "TRANSPOSE_CONV",
    }
)
# What such a kernel reads and writes beside int8: biases and shapes.
_INT8_KERNEL_TYPES = frozenset({TensorType.INT8, TensorType.INT32})


def add_method(operator: Operator) -> str | None:
    """The resolver's method that registers an operator's op, or None where TFLM has none."""
    if operator.opcode == "CUSTOM" and operator.custom_code == DECODE_OP:
        return "AddDecode"
    return ADD_METHODS.get(operator.opcode)


def registrations(graph: Graph) -> tuple[str, ...]:
    """C++ expressions that register exactly the ops of a graph, in alphabetical order.

    ``AddConv2D(tflite::Register_CONV_2D_INT8())`` for an op that the graph uses with int8 only and
    that upstream has an int8 registration for, else ``AddConv2D()``. Every op must be one that
    ``add_method`` knows.
    """
    uses: dict[str, list[Operator]] = {}
    for op in graph.operators:
        method = add_method(op)
        assert method is not None, op.display_name
        uses.setdefault(method, []).append(op)
    calls = []
    for method, operators in uses.items():
        opcode = operators[0].opcode
        narrow = opcode in _INT8_REGISTRATIONS and all(_is_int8(graph, op) for op in operators)
        argument = f"tflite::Register_{opcode}_INT8()" if narrow else ""
        calls.append(f"{method}({argument})")
    return tuple(sorted(calls))


def _is_int8(graph: Graph, operator: Operator) -> bool:
    outputs = graph.outputs_of(operator)
    types = {tensor.type for tensor in (*graph.inputs_of(operator), *outputs) if tensor is not None}
    return outputs[0].type is TensorType.INT8 and types <= _INT8_KERNEL_TYPES

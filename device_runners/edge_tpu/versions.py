"""The op versions that compiler 16.0 reads: those of the TFLite that it embeds.

Every refusal seen fits "the version came after TF 2.6" (an inference: the compiler doesn't say
which TFLite it embeds). The table follows TFLite's own list of the runtime that each version of
an op first came with (``tools/versioning/runtime_version.cc``).
"""

from __future__ import annotations

from converters.tflite.graph import Activation, Graph, Operator
from converters.tflite.options import TransposeConvOptions
from device_runners.edge_tpu.operands import input_of

_LAST_VERSIONS: dict[int, str] = {
    1: """ADD_N ASSIGN_VARIABLE BROADCAST_ARGS CALL CALL_ONCE CAST CEIL COMPLEX_ABS
        CONCAT_EMBEDDINGS CONV_3D CONV_3D_TRANSPOSE COS CUMSUM DENSIFY ELU EMBEDDING_LOOKUP_SPARSE
        EXP EXPAND_DIMS FLOOR FLOOR_MOD HARD_SWISH HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT
        HASHTABLE_LOOKUP HASHTABLE_SIZE IF IMAG L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOG
        LOGICAL_AND LOGICAL_NOT LOGICAL_OR LSH_PROJECTION MATRIX_DIAG MATRIX_SET_DIAG NEG
        NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 ONE_HOT POW PRELU RANGE RANK READ_VARIABLE
        REAL REDUCE_ALL REDUCE_ANY RELU_N1_TO_1 RESHAPE REVERSE_SEQUENCE RFFT2D ROUND SCATTER_ND
        SEGMENT_SUM SELECT_V2 SHAPE SIN SKIP_GRAM SQRT SQUARE UNIQUE VAR_HANDLE WHERE WHILE
        ZEROS_LIKE""",
    2: """ARG_MAX ARG_MIN DEPTH_TO_SPACE DIV FAKE_QUANT FLOOR_DIV GREATER GREATER_EQUAL
        L2_NORMALIZATION LEAKY_RELU LESS LESS_EQUAL LOG_SOFTMAX MIRROR_PAD QUANTIZE REDUCE_PROD
        RSQRT SELECT SPACE_TO_DEPTH SPLIT_V SQUARED_DIFFERENCE SQUEEZE SUM TILE TOPK_V2""",
    3: """AVERAGE_POOL_2D BATCH_TO_SPACE_ND BIDIRECTIONAL_SEQUENCE_LSTM
        BIDIRECTIONAL_SEQUENCE_RNN BROADCAST_TO CONCATENATION EMBEDDING_LOOKUP EQUAL FILL
        GATHER_ND LOGISTIC MAX_POOL_2D MEAN NOT_EQUAL PACK REDUCE_MAX REDUCE_MIN RELU RELU6
        REVERSE_V2 RNN SOFTMAX SPACE_TO_BATCH_ND SPARSE_TO_DENSE TANH TRANSPOSE_CONV
        UNIDIRECTIONAL_SEQUENCE_LSTM UNIDIRECTIONAL_SEQUENCE_RNN""",
    4: """ABS ADD BATCH_MATMUL DEQUANTIZE LSTM MAXIMUM MINIMUM PAD PADV2 RESIZE_BILINEAR
        RESIZE_NEAREST_NEIGHBOR SPLIT SVDF UNPACK""",
    5: "CONV_2D GATHER MUL SLICE SUB TRANSPOSE",
    6: "DEPTHWISE_CONV_2D STRIDED_SLICE",
    9: "FULLY_CONNECTED",
}

LAST_VERSIONS: dict[str, int] = {
    opcode: version for version, opcodes in _LAST_VERSIONS.items() for opcode in opcodes.split()
}
"""Opcode -> its last version in TF 2.6; an op that isn't here came later."""

_CUSTOM = frozenset({"CUSTOM", "DELEGATE"})

_ANOTHER_ACTIVATION = "use another activation: ReLU, ReLU6, sigmoid or tanh"
NEWER_VERSION_FIXES: dict[str, str] = {
    "CONV_2D": "replace the grouped convolution by a split, convolutions and a concatenation",
    "EXP": _ANOTHER_ACTIVATION + " (softplus, mish, selu and exponential need EXP)",
    "GELU": "replace gelu by x * sigmoid(1.702 * x)",
    "LOG": _ANOTHER_ACTIVATION + " (softplus and mish need LOG)",
    "TILE": "replace UpSampling2D by a resize with nearest-neighbor interpolation",
    "TRANSPOSE_CONV": (
        "apply bias and activation of Conv2DTranspose in layers of their own, or take the fused "
        "activation out of the file and write version 3: exact where the output's range lies "
        "inside the clamp"
    ),
}
"""What to change in the model for an op that recent TensorFlow writes in a newer version."""


def accepts(opcode: str, version: int) -> bool:
    """Whether the compiler's TFLite has this version of an op; custom ops have none."""
    return opcode in _CUSTOM or version <= LAST_VERSIONS.get(opcode, 0)


def newer_version_fix(opcode: str) -> str:
    """What to change in a model because of an op's version."""
    if opcode in NEWER_VERSION_FIXES:
        return NEWER_VERSION_FIXES[opcode]
    if opcode in LAST_VERSIONS:
        return f"change the layer so that it converts to {opcode} v{LAST_VERSIONS[opcode]} or older"
    return f"replace the layer: {opcode} is newer than the compiler"


def needs_newer_version(graph: Graph, operator: Operator) -> bool:
    """Whether the operator itself needs a version that the compiler doesn't take.

    The converter writes one version for all operators of an op, the newest that one of them
    needs: a grouped convolution makes every CONV_2D of the file a version 6.
    """
    if operator.opcode == "CONV_2D":
        source, weights = (input_of(graph, operator, position) for position in (0, 1))
        return source is None or weights is None or source.shape[-1:] != weights.shape[-1:]
    if operator.opcode == "TRANSPOSE_CONV" and isinstance(operator.options, TransposeConvOptions):
        return operator.options.fused_activation_function is not Activation.NONE
    return True


def refusal_message(opcode: str, version: int) -> str:
    """The compiler's message for an op, or a version of one, that its TFLite doesn't have."""
    if opcode not in LAST_VERSIONS:
        return "Op builtin_code out of range"
    return f"Didn't find op for builtin opcode '{opcode}' version '{version}'"


def refused_codes(graph: Graph) -> tuple[tuple[str, int], ...]:
    """The (opcode, version) pairs that make the compiler refuse the file.

    Entries of the operator-code table count even if no operator uses them: TFLite resolves the
    whole table when it loads a model.
    """
    codes = [(op.opcode, op.version) for op in graph.operators]
    codes += [(code.opcode, code.version) for code in graph.operator_codes]
    return tuple(dict.fromkeys(code for code in codes if not accepts(*code)))

"""What the Edge TPU maps: one function a rule, in the order in which they are asked.

A rule's docstring is what the user reads and the rule's row in ``docs/edge_tpu_ops.md``; its
status is what compiler 16.0 writes of an operator that breaks it. The rules here were derived
from the compiler's real outputs; those that Coral documents beside them are in ``limits.py``.
"""

from __future__ import annotations

from converters.tflite.graph import Graph, Operator
from converters.tflite.options import FullyConnectedOptions
from device_runners.edge_tpu import statuses
from device_runners.edge_tpu.limits import LIMITS, RISKS
from device_runners.edge_tpu.operands import EIGHT_BIT, activations, axes, input_of, parameters
from device_runners.edge_tpu.rule import Basis, Rule, RuleBook

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_ELEMENTWISE = ("ADD", "MAXIMUM", "MINIMUM", "MUL", "RSQRT", "SQUARED_DIFFERENCE", "SUB")
_ACTIVATIONS = ("LOGISTIC", "PRELU", "RELU", "RELU6", "RELU_N1_TO_1", "SOFTMAX", "TANH")
_POOLING = ("AVERAGE_POOL_2D", "L2_NORMALIZATION", "MAX_POOL_2D")
_REDUCTIONS = ("MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM")
_RESIZING = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_DEPTH", "TILE")
_JOINING = ("CONCATENATION", "PACK", "PAD", "SLICE", "SPLIT", "STRIDED_SLICE")
_RESHAPING = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE", "TRANSPOSE")
_OTHERS = ("QUANTIZE", "UNIDIRECTIONAL_SEQUENCE_LSTM")

SUPPORTED_OPS = frozenset(
    _CONVOLUTIONS
    + _ELEMENTWISE
    + _ACTIVATIONS
    + _POOLING
    + _REDUCTIONS
    + _RESIZING
    + _JOINING
    + _RESHAPING
    + _OTHERS
)

_BOOK = RuleBook(Basis.MEASURED)


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "convert the model with int8 or uint8 inputs (harmless where only the input is quantized)",
    "QUANTIZE",
)
def quantize_from_eight_bit(graph: Graph, operator: Operator) -> bool:
    """It goes from 8 bits to 8 bits: float values are quantized on the host."""
    return not any(t.type.is_float for t in activations(graph, operator))


@_BOOK.rule(
    statuses.DATA_TYPE,
    "keep 8-bit activations throughout, or move the operator off the graph, to the host",
)
def eight_bit_activations(graph: Graph, operator: Operator) -> bool:
    """Its activations are int8 or uint8, and it is not a custom op."""
    computes = operator.opcode != "CUSTOM" and bool(operator.outputs)
    return computes and all(t.type in EIGHT_BIT for t in activations(graph, operator))


@_BOOK.rule(
    statuses.NOT_SUPPORTED,
    "replace the layer by ones that convert to supported ops, or move it to the host",
)
def supported_op(graph: Graph, operator: Operator) -> bool:
    """The Edge TPU has the op."""
    return operator.opcode in SUPPORTED_OPS


@_BOOK.rule(
    statuses.VERSION,
    "replace it by a resize with nearest-neighbor interpolation or by a concatenation",
    "TILE",
)
def first_version(graph: Graph, operator: Operator) -> bool:
    """Its version is 1."""
    return operator.version == 1


@_BOOK.rule(
    statuses.VERSION,
    "replace Dense on an input of 3 or more dimensions by Conv1D with kernel size 1",
    "FULLY_CONNECTED",
)
def flat_dense_layer(graph: Graph, operator: Operator) -> bool:
    """It does not keep the dimensions of its input (`keep_num_dims`, version 5)."""
    options = operator.options
    keeps = isinstance(options, FullyConnectedOptions) and options.keep_num_dims
    # The converter gives all dense layers of a file the version that one of them needs.
    return not keeps and operator.version != 5


@_BOOK.rule(
    statuses.RANK,
    "convert with the batch fixed at 1; reshape to at most three dimensions larger than 1",
)
def three_inner_dimensions(graph: Graph, operator: Operator) -> bool:
    """Only the three innermost dimensions of its activations are larger than 1: batch is 1."""
    return all(size == 1 for t in activations(graph, operator) for size in t.shape[:-3])


@_BOOK.rule(
    statuses.NOT_CONSTANT,
    "make weights, shapes and axes constant; attention needs other layers",
)
def constant_parameters(graph: Graph, operator: Operator) -> bool:
    """Its weights, shapes and axes are constant."""
    return all(tensor.is_constant for tensor in parameters(graph, operator))


@_BOOK.rule(
    statuses.UNSPECIFIED,
    "split along another dimension",
    "SPLIT",
)
def split_not_along_batch(graph: Graph, operator: Operator) -> bool:
    """It does not split along dimension 0."""
    source = input_of(graph, operator, 1)
    return source is None or 0 not in axes(graph, operator, 0, len(source.shape))


@_BOOK.rule(
    statuses.INTERPOLATION,
    "replace the upsampling of a 1x1 map by TILE (version 1) or by a nearest-neighbor resize",
    "RESIZE_BILINEAR",
)
def resize_from_more_than_one_pixel(graph: Graph, operator: Operator) -> bool:
    """It does not start from a 1x1 map."""
    source = input_of(graph, operator, 0)
    return source is None or source.shape[1:3] != (1, 1)


@_BOOK.rule(
    statuses.INTERPOLATION,
    "upsample in steps of at most 8, or resize the model's output on the host",
    "RESIZE_BILINEAR",
)
def resize_at_most_eightfold(graph: Graph, operator: Operator) -> bool:
    """It enlarges by a factor of at most 8."""
    source, output = input_of(graph, operator, 0), graph.outputs_of(operator)[0]
    if source is None:
        return True
    sizes = zip(source.shape[1:3], output.shape[1:3], strict=False)
    return all(after <= 8 * before for before, after in sizes)


VERDICTS: tuple[Rule, ...] = (*_BOOK.rules, *LIMITS)
"""An operator maps if it breaks none of these; the first one that it breaks gives the status."""

RULES: tuple[Rule, ...] = (*VERDICTS, *RISKS)


def broken_rule(graph: Graph, operator: Operator) -> Rule | None:
    """The first rule that keeps an operator off the Edge TPU; None when it maps."""
    return next((rule for rule in VERDICTS if rule.broken_by(graph, operator)), None)


def risks(graph: Graph, operator: Operator) -> tuple[Rule, ...]:
    """What may keep an operator off the Edge TPU although it breaks no rule."""
    return tuple(rule for rule in RISKS if rule.broken_by(graph, operator))

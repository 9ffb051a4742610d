"""Each rule on a graph that meets it and on one that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, TensorType
from converters.tflite.options import (
    ConcatenationOptions,
    Conv2DOptions,
    FullyConnectedOptions,
    Options,
    PackOptions,
    Pool2DOptions,
    ReducerOptions,
    SplitOptions,
    SqueezeOptions,
    StridedSliceOptions,
)
from device_runners.edge_tpu import statuses
from device_runners.edge_tpu.log import MAPPED
from device_runners.edge_tpu.ops_page import edge_tpu_ops_page
from device_runners.edge_tpu.preflight import preflight
from device_runners.edge_tpu.rule import REPLACEMENTS, Basis
from device_runners.edge_tpu.rules import RULES, SUPPORTED_OPS

Shape = Sequence[int]
INT8, FLOAT = TensorType.INT8, TensorType.FLOAT32


def one_op(
    opcode: str,
    shape: Shape,
    output: Shape,
    *constants: Any,
    options: Options | None = None,
    types: tuple[TensorType, TensorType] = (INT8, INT8),
    version: int = 1,
    constants_first: bool = False,
) -> Graph:
    """A graph of one operator: an activation, constants (int8 or int32), an output.

    A second one, on int8, stands beside it where the first isn't on 8 bits: else the compiler
    would refuse the file as not quantized.
    """
    b = GraphBuilder("one")
    x = b.input(shape, 0.1, 0, types[0])
    rest = [b.constant(np.asarray(c), scales=[0.1], zero_points=[0]) for c in constants]
    inputs = [*rest, x] if constants_first else [x, *rest]
    b.output(
        b.op(
            opcode,
            inputs,
            options,
            shape=output,
            scale=0.1,
            zero_point=0,
            type=types[1],
            version=version,
        )
    )
    if types != (INT8, INT8):
        y = b.input((1, 8), 0.1, 0)
        b.output(b.op("RELU", [y], None, shape=(1, 8), scale=0.1, zero_point=0))
    return b.graph()


def i8(*shape: int, value: int = 0) -> Any:
    return np.full(shape, value, np.int8)


def i32(*values: int) -> Any:
    return np.array(values, np.int32)


def conv(**options: Any) -> Graph:
    return one_op(
        "CONV_2D",
        (1, 8, 8, 4),
        (1, 8, 8, 4),
        i8(4, 3, 3, 4),
        i32(0, 0, 0, 0),
        options=Conv2DOptions(**options),
    )


def computed_weights() -> Graph:
    b = GraphBuilder("attention")
    x, y = b.input((1, 8), 0.1, 0), b.input((4, 8), 0.1, 0)
    options = FullyConnectedOptions()
    b.output(b.op("FULLY_CONNECTED", [x, y], options, shape=(1, 4), scale=0.1, zero_point=0))
    return b.graph()


def dense(*, rows: int = 1, keep_num_dims: bool = False, version: int = 4) -> Graph:
    return one_op(
        "FULLY_CONNECTED",
        (rows, 8),
        (rows, 4),
        i8(4, 8),
        i32(0, 0, 0, 0),
        options=FullyConnectedOptions(keep_num_dims=keep_num_dims),
        version=version,
    )


def split(axis: int) -> Graph:
    return one_op(
        "SPLIT",
        (1, 8, 8, 4),
        (1, 8, 8, 4),
        np.array(axis, np.int32),
        options=SplitOptions(1),
        constants_first=True,
    )


def resize(before: int, after: int, opcode: str = "RESIZE_BILINEAR") -> Graph:
    return one_op(opcode, (1, before, before, 4), (1, after, after, 4), i32(after, after))


def pool(activation: Activation, opcode: str = "MAX_POOL_2D") -> Graph:
    options = Pool2DOptions(fused_activation_function=activation)
    return one_op(opcode, (1, 8, 8, 4), (1, 8, 8, 4), options=options)


def concat(*constants: Any, activation: Activation = Activation.NONE) -> Graph:
    channels = 4 + sum(c.shape[-1] for c in constants)
    options = ConcatenationOptions(axis=3, fused_activation_function=activation)
    return one_op("CONCATENATION", (1, 8, 8, 4), (1, 8, 8, channels), *constants, options=options)


def reduced(opcode: str, axis: int, *, channels: int = 8) -> Graph:
    shape = [1, 6, 6, channels]
    output = [1 if i == axis % 4 else size for i, size in enumerate(shape)]
    return one_op(opcode, shape, output, i32(axis), options=ReducerOptions(keep_dims=True))


def packed(axis: int) -> Graph:
    output = [1, 6, 4]
    output.insert(axis, 1)
    return one_op("PACK", (1, 6, 4), output, options=PackOptions(1, axis))


def padded(*amounts: int) -> Graph:
    paddings = np.array(amounts, np.int32).reshape(4, 2)
    output = tuple(int(s + p.sum()) for s, p in zip((1, 6, 6, 4), paddings, strict=True))
    return one_op("PAD", (1, 6, 6, 4), output, paddings)


def prelu(*alpha: int) -> Graph:
    return one_op("PRELU", (1, 6, 6, 4), (1, 6, 6, 4), i8(*alpha))


def sliced(*strides: int, **masks: int) -> Graph:
    output = (1, *(8 // s for s in strides[1:3]), 4)
    ends = i32(1, 8, 8, 4)
    options = StridedSliceOptions(**masks)
    return one_op(
        "STRIDED_SLICE", (1, 8, 8, 4), output, i32(0, 0, 0, 0), ends, i32(*strides), options=options
    )


def squeezed(before: Shape, after: Shape) -> Graph:
    return one_op("SQUEEZE", before, after, options=SqueezeOptions())


def relu(shape: Shape, opcode: str = "RELU", **arguments: Any) -> Graph:
    return one_op(opcode, shape, shape, **arguments)


# Rule -> a graph that maps, and graphs that break the rule.
CASES: dict[str, tuple[Callable[[], Graph], tuple[Callable[[], Graph], ...]]] = {
    "quantize_from_eight_bit": (
        lambda: relu((1, 8), "QUANTIZE", types=(TensorType.UINT8, INT8)),
        (lambda: relu((1, 8), "QUANTIZE", types=(FLOAT, INT8)),),
    ),
    "eight_bit_activations": (
        lambda: relu((1, 8), types=(TensorType.UINT8, TensorType.UINT8)),
        (
            lambda: relu((1, 8), "DEQUANTIZE", types=(INT8, FLOAT)),
            lambda: relu((1, 8), "MUL", types=(TensorType.INT32, TensorType.INT32)),
            lambda: relu((1, 8), types=(TensorType.INT16, TensorType.INT16)),
            lambda: relu((1, 8), "CUSTOM"),
            lambda: relu((1, 8), "CAST", types=(INT8, TensorType.BOOL)),
        ),
    ),
    "supported_op": (
        lambda: relu((1, 8), "TANH"),
        (
            lambda: relu((1, 8), "LEAKY_RELU"),
            lambda: relu((1, 8), "HARD_SWISH"),
            lambda: one_op("GATHER", (1, 8), (1, 2), i32(0, 1)),
            lambda: one_op("DEPTH_TO_SPACE", (1, 4, 4, 4), (1, 8, 8, 1)),
        ),
    ),
    "first_version": (
        lambda: one_op("TILE", (1, 1, 1, 4), (1, 4, 4, 4), i32(1, 4, 4, 1)),
        (lambda: one_op("TILE", (1, 1, 1, 4), (1, 4, 4, 4), i32(1, 4, 4, 1), version=2),),
    ),
    "flat_dense_layer": (
        dense,
        # One dense layer that keeps its dimensions makes all of the file a version 5.
        (lambda: dense(keep_num_dims=True, version=5), lambda: dense(version=5)),
    ),
    "three_inner_dimensions": (
        lambda: relu((1, 1, 4, 6, 8)),
        (lambda: relu((2, 4, 6, 8)), lambda: relu((1, 2, 4, 6, 8)), lambda: relu((2, 1, 1, 8))),
    ),
    "constant_parameters": (dense, (computed_weights,)),
    "split_not_along_batch": (lambda: split(3), (lambda: split(0), lambda: split(-4))),
    "resize_from_more_than_one_pixel": (
        lambda: resize(2, 8),
        (lambda: resize(1, 4), lambda: resize(1, 33)),
    ),
    "resize_at_most_eightfold": (lambda: resize(4, 32), (lambda: resize(4, 33),)),
    "pool_without_activation": (
        lambda: pool(Activation.NONE),
        (
            lambda: pool(Activation.RELU),
            lambda: pool(Activation.RELU6, "AVERAGE_POOL_2D"),
        ),
    ),
    "concatenation_without_activation": (
        concat,
        (lambda: concat(activation=Activation.RELU),),
    ),
    "concatenated_constant_is_zero": (
        lambda: concat(i8(1, 8, 8, 4)),
        (
            lambda: concat(i8(1, 8, 8, 4, value=1)),
            lambda: concat(i8(1, 8, 8, 4), i8(1, 8, 8, 4)),
        ),
    ),
    "equal_dilation": (
        lambda: conv(dilation_w_factor=2, dilation_h_factor=2),
        (lambda: conv(dilation_w_factor=2),),
    ),
    "reduction_not_over_batch": (
        lambda: reduced("MEAN", 1),
        (lambda: reduced("MEAN", 0), lambda: reduced("REDUCE_MAX", -4)),
    ),
    "mean_over_channels_by_four": (
        lambda: reduced("MEAN", 3, channels=8),
        (lambda: reduced("MEAN", 3, channels=6), lambda: reduced("MEAN", -1, channels=3)),
    ),
    "pack_not_along_batch": (lambda: packed(3), (lambda: packed(0),)),
    "pad_not_batch": (
        lambda: padded(0, 0, 1, 1, 2, 2, 0, 3),
        # Padding the batch makes it larger than 1 as well; the rank is what the compiler names.
        (),
    ),
    "slope_per_channel": (lambda: prelu(1, 1, 4), (lambda: prelu(6, 6, 4),)),
    "softmax_over_16000": (
        lambda: relu((1, 16_000), "SOFTMAX"),
        (lambda: relu((1, 16_001), "SOFTMAX"),),
    ),
    "plain_slice": (
        lambda: sliced(1, 1, 1, 1, begin_mask=1, shrink_axis_mask=1),
        (
            lambda: sliced(1, 2, 2, 1),
            lambda: sliced(1, 1, 1, 1, ellipsis_mask=1),
            lambda: sliced(1, 1, 1, 1, new_axis_mask=1),
        ),
    ),
    "leading_squeeze": (
        lambda: squeezed((1, 1, 1, 10), (1, 10)),
        (lambda: squeezed((1, 5, 1, 10), (1, 5, 10)),),
    ),
}
VERDICTS = {rule.name: rule for rule in RULES if rule.basis is not Basis.RISK}
BROKEN = [(name, i) for name, (_, broken) in CASES.items() for i in range(len(broken))]


def test_every_rule_has_its_case() -> None:
    assert set(CASES) == set(VERDICTS)


@pytest.mark.parametrize("name", CASES)
def test_what_meets_a_rule_maps(name: str) -> None:
    op = preflight(CASES[name][0]()).ops[0]
    assert (op.mapped, op.status, op.fix) == (True, MAPPED, "")


@pytest.mark.parametrize(("name", "case"), BROKEN)
def test_what_breaks_a_rule_stays_on_the_cpu_with_its_status_and_fix(name: str, case: int) -> None:
    graph, rule = CASES[name][1][case](), VERDICTS[name]
    assert rule.broken_by(graph, graph.operators[0])
    found = preflight(graph)
    op = found.ops[0]
    assert not found.refused
    assert (op.mapped, op.status) == (False, rule.status)
    assert op.fix == rule.fix_for(graph, graph.operators[0])
    assert found.first_blocker is not None
    assert found.first_blocker.index == 0


@pytest.mark.parametrize(("value", "maps"), [(0, False), (128, True)])
def test_a_zero_constant_is_one_at_its_zero_point(value: int, maps: bool) -> None:
    b = GraphBuilder("zeros")
    x = b.input((1, 8), 0.1, 128, TensorType.UINT8)
    constant = np.full((1, 8), value, np.uint8)
    inputs = [x, b.constant(constant, scales=[0.1], zero_points=[128])]
    options = ConcatenationOptions(axis=1)
    y = b.op(
        "CONCATENATION",
        inputs,
        options,
        shape=(1, 16),
        scale=0.1,
        zero_point=128,
        type=TensorType.UINT8,
    )
    b.output(y)
    assert preflight(b.graph()).ops[0].mapped is maps


def test_padding_the_batch_is_a_matter_of_rank() -> None:
    graph = padded(1, 0, 1, 1, 2, 2, 0, 3)
    assert VERDICTS["pad_not_batch"].broken_by(graph, graph.operators[0])
    assert preflight(graph).ops[0].status == statuses.RANK


def test_the_fix_names_a_replacement_of_the_op() -> None:
    for opcode in ("LEAKY_RELU", "HARD_SWISH", "ELU", "BATCH_MATMUL", "DEPTH_TO_SPACE"):
        (op,) = preflight(relu((1, 8), opcode)).ops
        assert op.status == statuses.NOT_SUPPORTED
        assert op.fix == REPLACEMENTS[opcode]


@pytest.mark.parametrize("opcode", ["RESIZE_BILINEAR", "TRANSPOSE", "LOGISTIC", "CONCATENATION"])
def test_large_activations_are_a_risk_and_not_a_verdict(opcode: str) -> None:
    (small,) = preflight(relu((1, 64, 64, 16), opcode)).ops
    found = preflight(relu((1, 64, 64, 24), opcode))
    assert (small.mapped, small.at_risk) == (True, False)
    assert (found.ops[0].mapped, found.ops[0].at_risk, found.ops[0].fix) == (True, True, "")
    assert "96 KiB" in found.warnings[0].message
    assert not found.warnings[0].blocking


def test_several_rows_of_a_dense_layer_are_a_risk() -> None:
    assert not preflight(dense()).ops[0].at_risk
    assert preflight(dense(rows=5)).ops[0].at_risk


def test_nearest_neighbor_has_no_rule_about_precision() -> None:
    assert preflight(resize(1, 33, "RESIZE_NEAREST_NEIGHBOR")).ops[0].mapped


def test_recurrent_state_may_be_int16() -> None:
    b = GraphBuilder("lstm")
    x = b.input((1, 4, 8), 0.1, 0)
    weights = [b.constant(i8(4, 8), scales=[0.1]) for _ in range(4)]
    weights += [b.constant(i8(4, 4), scales=[0.1]) for _ in range(4)]
    biases = [b.constant(np.zeros(4, np.int32)) for _ in range(4)]
    output_state = b.tensor((1, 4), scales=[0.1])
    cell_state = b.tensor((1, 4), TensorType.INT16, scales=[0.1])
    inputs = [x, *weights, -1, -1, -1, *biases, -1, -1, output_state, cell_state]
    opcode = "UNIDIRECTIONAL_SEQUENCE_LSTM"
    b.output(b.op(opcode, inputs, None, shape=(1, 4, 4), scale=0.1, zero_point=0))
    graph = b.graph()
    assert not preflight(graph).ops[0].mapped
    variable = {output_state, cell_state}
    tensors = tuple(replace(t, is_variable=t.index in variable) for t in graph.tensors)
    assert preflight(replace(graph, tensors=tensors)).ops[0].mapped


def test_the_page_has_every_rule_op_and_status() -> None:
    page = edge_tpu_ops_page()
    for rule in RULES:
        ops = ", ".join(rule.opcodes) or "all"
        row = f"| {ops} | {rule.message} | {rule.basis} | {rule.status} | {rule.fix} |"
        assert row in page
        assert rule.message.endswith(".")
        assert rule.status in statuses.STATUSES
    for opcode in [*SUPPORTED_OPS, *REPLACEMENTS]:
        assert opcode in page
    assert SUPPORTED_OPS.isdisjoint(REPLACEMENTS)

"""Ops of int16 activations and int8 weights."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.graphs import ACTIVATIONS, Op, random_inputs
from support.host_equality import SANITIZED, assert_every_tensor_equals_reference
from support.int16_graphs import IMAGE_OPS, OPS, WideGraph, single_int16_graph

from converters.qat.int16 import widen
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding, TensorType
from converters.tflite.options import (
    AddOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    MulOptions,
    SoftmaxOptions,
    SubOptions,
)
from device_runners.cgen import check
from device_runners.runner import Artifacts

INT16 = TensorType.INT16
ALL_INT16 = np.arange(-32768, 32768).astype(np.int16)
EXTREMES = (-32768, 32767)


def seed_of(op: Op) -> int:
    """Of its own for each op, the same in every process."""
    return zlib.crc32(op.__name__.encode())


@pytest.mark.parametrize("op", IMAGE_OPS + OPS, ids=lambda op: op.__name__)
def test_random_operators(tmp_path: Path, op: Op) -> None:
    rng = np.random.default_rng(seed_of(op))
    graph = single_int16_graph(rng, op)
    samples = [random_inputs(rng, graph) for _ in range(3)]
    assert_every_tensor_equals_reference(graph, samples, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("op", IMAGE_OPS + OPS, ids=lambda op: op.__name__)
def test_many_random_operators(tmp_path: Path, op: Op, compiler: str) -> None:
    for seed in range(4):
        rng = np.random.default_rng([seed_of(op), seed])
        graph = single_int16_graph(rng, op)
        samples = [random_inputs(rng, graph) for _ in range(3)]
        folder = tmp_path / str(seed)
        assert_every_tensor_equals_reference(graph, samples, folder, compiler=compiler)


@pytest.mark.parametrize("flags", [("-O2",), ("-O3",), ("-Os",)])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_optimized_code(tmp_path: Path, compiler: str, flags: tuple[str, ...]) -> None:
    graph = convolution((1, 5, 6, 4), (5, 3, 3, 4))
    samples = [random_inputs(np.random.default_rng(1), graph) for _ in range(3)]
    assert_every_tensor_equals_reference(graph, samples, tmp_path, compiler=compiler, flags=flags)


# ---- Products ---------------------------------------------------------------------------------


def convolution(
    image: Sequence[int],
    filters: Sequence[int],
    *,
    weights: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    output_scale: float = 0.006,
    activation: Activation = Activation.NONE,
    bias_type: TensorType = TensorType.FLOAT32,
    output_zero_point: int = 0,
) -> Graph:
    """A CONV_2D with SAME padding."""
    rng = np.random.default_rng(2)
    b = GraphBuilder("conv")
    x = b.input(image, 0.001, 0, INT16)
    scales = np.linspace(0.002, 0.03, filters[0]).tolist()
    taps = rng.integers(-127, 128, filters) if weights is None else weights
    w = b.constant(taps.astype(np.int8), scales=scales, axis=0)
    values = rng.integers(-900000, 900000, filters[0]) if bias is None else bias
    c = b.constant(values, scales=[0.001 * scale for scale in scales])
    options = Conv2DOptions(Padding.SAME, 1, 1, activation, quantized_bias_type=bias_type)
    y = b.op(
        "CONV_2D",
        [x, w, c],
        options,
        shape=(*image[:3], filters[0]),
        scale=output_scale,
        zero_point=output_zero_point,
        type=INT16,
        version=5,
    )
    b.output(y)
    return b.graph()


def assert_exact(graph: Graph, folder: Path) -> Artifacts:
    rng = np.random.default_rng(3)
    samples = [random_inputs(rng, graph) for _ in range(2)]
    samples += [[np.full(t.shape, v, np.int16) for t in graph.input_tensors] for v in EXTREMES]
    return assert_every_tensor_equals_reference(graph, samples, folder, flags=SANITIZED)


def kernels(artifacts: Artifacts) -> list[str]:
    return list(artifacts.figures["kernels"])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_activations(tmp_path: Path, activation: Activation) -> None:
    assert_exact(convolution((1, 4, 4, 3), (5, 3, 3, 3), activation=activation), tmp_path)


@pytest.mark.parametrize(("depth", "kernel"), [(514, "conv_2d_int16"), (518, "conv_2d_int16_wide")])
def test_sums_around_32_bits(tmp_path: Path, depth: int, kernel: str) -> None:
    """The largest weights: 514 of 127 and an input of -32768 just fit, 518 don't."""
    weights = np.full((5, 1, 1, depth), 127)
    weights[1] = -127
    graph = convolution(
        (1, 2, 2, depth), (5, 1, 1, depth), weights=weights, bias=np.arange(5), output_scale=0.2
    )
    assert kernels(assert_exact(graph, tmp_path)) == [kernel]


def test_a_bias_beyond_32_bits(tmp_path: Path) -> None:
    bias = np.array([2**40, -(2**40), 7])
    graph = convolution((1, 3, 3, 4), (3, 3, 3, 4), bias=bias, output_scale=900.0)
    assert kernels(assert_exact(graph, tmp_path)) == ["conv_2d_int16_wide"]


@pytest.mark.parametrize("output_scale", [1e-7, 2e-6, 1e-5, 1.0, 30.0])
def test_factors_of_all_sizes(tmp_path: Path, output_scale: float) -> None:
    graph = convolution((1, 3, 3, 4), (3, 1, 1, 4), output_scale=output_scale)
    findings = check(graph).blocking
    if findings:
        assert "finer than its sums" in findings[0].message
    else:
        assert_exact(graph, tmp_path)


def test_a_missing_bias_counts_as_zero(tmp_path: Path) -> None:
    """DEPTHWISE_CONV_2D; of CONV_2D the reference wants one."""
    b = GraphBuilder("depthwise")
    x = b.input((1, 4, 5, 6), 0.001, 0, INT16)
    taps = np.random.default_rng(4).integers(-127, 128, (1, 3, 3, 6)).astype(np.int8)
    w = b.constant(taps, scales=[0.01] * 6, axis=3)
    options = DepthwiseConv2DOptions(Padding.SAME, 1, 1, 1)
    b.output(
        b.op(
            "DEPTHWISE_CONV_2D",
            [x, w],
            options,
            shape=(1, 4, 5, 6),
            scale=0.002,
            zero_point=0,
            type=INT16,
        )
    )
    assert_exact(b.graph(), tmp_path)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_sums_of_64_bits(tmp_path: Path, multiplier: int) -> None:
    channels = 3 * multiplier
    b = GraphBuilder("depthwise")
    x = b.input((1, 23, 24, 3), 0.001, 0, INT16)
    w = b.constant(np.full((1, 23, 24, channels), 127, np.int8), scales=[0.01] * channels, axis=3)
    options = DepthwiseConv2DOptions(Padding.VALID, 1, 1, multiplier)
    shape = (1, 1, 1, channels)
    b.output(
        b.op("DEPTHWISE_CONV_2D", [x, w], options, shape=shape, scale=0.9, zero_point=0, type=INT16)
    )
    artifacts = assert_exact(b.graph(), tmp_path)
    assert kernels(artifacts) == ["depthwise_conv_2d_int16_wide"]


@pytest.mark.parametrize("zero_point", [0, -128, 127])
def test_dense_weights_with_a_zero_point(tmp_path: Path, zero_point: int) -> None:
    b = GraphBuilder("dense")
    x = b.input((3, 40), 0.001, 0, INT16)
    data = np.random.default_rng(5).integers(-128, 128, (7, 40)).astype(np.int8)
    w = b.constant(data, scales=[0.01], zero_points=[zero_point])
    c = b.constant(np.arange(7) * 100000, scales=[float(np.float32(0.001) * np.float32(0.01))])
    b.output(
        b.op(
            "FULLY_CONNECTED",
            [x, w, c],
            FullyConnectedOptions(),
            shape=(3, 7),
            scale=0.02,
            zero_point=0,
            type=INT16,
            version=7,
        )
    )
    artifacts = assert_exact(b.graph(), tmp_path)
    assert kernels(artifacts) == ["fully_connected_int16" + ("_wide" if zero_point else "")]


# ---- Functions --------------------------------------------------------------------------------


def unary(opcode: str, scale: float, output_scale: float, options: Any = None) -> Graph:
    b = GraphBuilder(opcode.lower())
    x = b.input((65536,), scale, 0, INT16)
    b.output(
        b.op(
            opcode,
            [x],
            options,
            shape=(65536,),
            scale=output_scale,
            zero_point=0,
            type=INT16,
            version=2,
        )
    )
    return b.graph()


@pytest.mark.parametrize("opcode", ["LOGISTIC", "TANH"])
@pytest.mark.parametrize(
    "scale", [1e-9, 1e-5, 2**-13, 2**-12, 2**-11, 2**-10, 3e-4, 2**-12 * 1.0005, 0.01, 1.0, 2.6]
)
def test_every_input_of_sigmoids(tmp_path: Path, opcode: str, scale: float) -> None:
    graph = unary(opcode, scale, 1 / 32768)
    assert_every_tensor_equals_reference(graph, [[ALL_INT16]], tmp_path)


@pytest.mark.parametrize("opcode", ["RELU", "RELU6", "QUANTIZE"])
@pytest.mark.parametrize(("scale", "output_scale"), [(0.001, 0.001), (0.5, 0.003), (1e-4, 7.0)])
def test_every_input_of_changes_of_scale(
    tmp_path: Path, opcode: str, scale: float, output_scale: float
) -> None:
    graph = unary(opcode, scale, output_scale)
    assert_every_tensor_equals_reference(graph, [[ALL_INT16]], tmp_path)


@pytest.mark.parametrize("beta", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("scale", [1e-7, 1e-4, 3e-3, 1.0])
def test_softmax_of_every_distance_and_of_many_sums(
    tmp_path: Path, scale: float, beta: float
) -> None:
    b = GraphBuilder("softmax")
    x = b.input((8192, 3), scale, 0, INT16)
    options = SoftmaxOptions(beta)
    b.output(
        b.op(
            "SOFTMAX",
            [x],
            options,
            shape=(8192, 3),
            scale=1 / 32768,
            zero_point=0,
            type=INT16,
        )
    )
    rng = np.random.default_rng(6)
    steps = np.stack([np.full(8192, 32767), ALL_INT16[::8], ALL_INT16[7::8]], axis=1)
    random = rng.integers(-32768, 32768, (8192, 3))
    samples = [[values.astype(np.int16)] for values in (steps, random, random // 64)]
    assert_every_tensor_equals_reference(b.graph(), samples, tmp_path)


@pytest.mark.parametrize("shape", [(1,), (3, 1), (2, 3, 5), (1, 40000)])
def test_softmax_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    b = GraphBuilder("softmax")
    x = b.input(shape, 1e-5, 0, INT16)
    b.output(
        b.op(
            "SOFTMAX",
            [x],
            SoftmaxOptions(1.0),
            shape=shape,
            scale=1 / 32768,
            zero_point=0,
            type=INT16,
        )
    )
    assert_exact(b.graph(), tmp_path)


# ---- Two operands -----------------------------------------------------------------------------


def sum_of(
    opcode: str, scales: tuple[float, float, float], options: Any, second: Sequence[int] = (64, 64)
) -> Graph:
    b = GraphBuilder("sum")
    x, y = b.input((64, 64), scales[0], 0, INT16), b.input(second, scales[1], 0, INT16)
    b.output(
        b.op(
            opcode,
            [x, y],
            options,
            shape=(64, 64),
            scale=scales[2],
            zero_point=0,
            type=INT16,
        )
    )
    return b.graph()


@pytest.mark.parametrize("pot", [False, True])
@pytest.mark.parametrize(
    "scales",
    [(0.001, 0.003, 0.004), (1e-5, 0.1, 0.1), (2**-9, 2**-9, 2**-9), (2**-14, 2**-5, 2**-5)],
)
def test_sums_of_general_scales_and_of_powers_of_two(
    tmp_path: Path, scales: tuple[float, float, float], pot: bool
) -> None:
    graph = sum_of("ADD", scales, AddOptions(pot_scale_int16=pot))
    powers = pot and scales[0] < 2**-8 and scales[2] in (2**-9, 2**-5)
    expected = "add_powers_int16" if powers else "add_int16"
    assert kernels(assert_exact(graph, tmp_path)) == [expected]


# ---- Refusals ---------------------------------------------------------------------------------


def refusal(graph: Graph) -> str:
    return " ".join(finding.message for finding in check(graph).blocking)


def test_what_the_code_generator_lacks_is_refused_by_name() -> None:
    g = WideGraph(np.random.default_rng(0))
    x = g.builder.input((2, 4), 0.1, 0, INT16)
    for opcode in ("SQUARED_DIFFERENCE", "COS"):
        y = g.builder.op(
            opcode, [x, x], None, shape=(2, 4), scale=0.1, zero_point=0, type=INT16, version=2
        )
        g.builder.output(y)
    findings = check(g.builder.graph()).blocking
    assert "SQUARED_DIFFERENCE" in findings[0].message
    assert "of type INT16" in findings[0].message
    assert "int8 is supported" in findings[0].message
    assert all("convert the model with int8 activations" in finding.hint for finding in findings)


def test_a_zero_point_is_refused() -> None:
    assert "zero point 3" in refusal(convolution((1, 4, 4, 3), (2, 1, 1, 3), output_zero_point=3))


def test_a_bias_of_32_bits_is_refused() -> None:
    graph = convolution((1, 4, 4, 3), (2, 1, 1, 3), bias=np.arange(2, dtype=np.int32))
    assert "bias values of type INT32" in refusal(graph)
    graph = convolution((1, 4, 4, 3), (2, 1, 1, 3), bias_type=TensorType.INT32)
    assert "accumulates in INT32" in refusal(graph)


def test_from_int8_to_int16_is_refused() -> None:
    b = GraphBuilder("up")
    x = b.input((4,), 0.1, 0)
    b.output(b.op("QUANTIZE", [x], None, shape=(4,), scale=0.1, zero_point=0, type=INT16))
    assert "input 0 of type INT8" in refusal(b.graph())


def test_scales_out_of_range_are_refused() -> None:
    assert "1/32768" in refusal(unary("TANH", 0.001, 1 / 32767))
    assert "up to 2.66" in refusal(unary("LOGISTIC", 3.0, 1 / 32768))
    assert "scales by more" in refusal(unary("QUANTIZE", 1.0, 1e-5))
    assert "neither a power of 2" in refusal(unary("TANH", 2**-12 * 2**0.001, 1 / 32768))
    assert "out of range" in refusal(unary("SOFTMAX", 9.0, 1 / 32768, SoftmaxOptions(1.0)))
    assert "too fine" in refusal(sum_of("MUL", (0.5, 0.5, 0.1), MulOptions()))
    assert "2^14 times finer" in refusal(
        sum_of("ADD", (0.3, 0.5, 1e-6), AddOptions(pot_scale_int16=False))
    )


def test_what_sums_of_powers_of_two_lack_is_refused() -> None:
    scales = (2**-9, 2**-9, 2**-9)
    assert "broadcasts" in refusal(sum_of("ADD", scales, AddOptions(), (1, 64)))
    assert "pot_scale_int16" in refusal(sum_of("SUB", scales, SubOptions()))
    assert "divides its operands" in refusal(sum_of("ADD", (2**-9, 2**-9, 2**-8), AddOptions()))


# ---- Whole graphs -----------------------------------------------------------------------------


def test_a_graph_widened_after_training_with_quantization(tmp_path: Path) -> None:
    """What ``converters.qat`` makes of the scheme int8_int16."""
    rng = np.random.default_rng(8)
    b = GraphBuilder("trained")
    x = b.input((1, 6, 6, 3), 0.02, 0)
    taps = rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    w = b.constant(taps, scales=[0.01, 0.02, 0.005, 0.01], axis=0)
    c = b.constant(np.arange(4, dtype=np.int32) * 99, scales=[2e-4, 4e-4, 1e-4, 2e-4])
    options = Conv2DOptions(Padding.SAME, 1, 1, Activation.RELU)
    y = b.op("CONV_2D", [x, w, c], options, shape=(1, 6, 6, 4), scale=0.1, zero_point=0)
    z = b.op("ADD", [y, y], AddOptions(), shape=(1, 6, 6, 4), scale=0.2, zero_point=0)
    b.output(z)
    graph = widen(b.graph())
    assert {tensor.type for tensor in graph.output_tensors} == {INT16}
    assert_exact(graph, tmp_path)

"""Random graphs of int16 activations, on this machine under the sanitizers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support.graphs import random_inputs
from support.host_equality import assert_every_tensor_equals_reference
from support.int16_graphs import make_int16_graph
from support.models import int8_model

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Padding, TensorType
from converters.tflite.options import Conv2DOptions
from device_runners.cgen import Isa, build, full_trace
from device_runners.cgen.registry import operations


def _assert_exact(seed: int, folder: Path, isa: Isa = Isa.SCALAR) -> None:
    rng = np.random.default_rng(seed)
    graph = make_int16_graph(rng)
    samples = [random_inputs(rng, graph) for _ in range(3)]
    assert_every_tensor_equals_reference(graph, samples, folder, isa=isa)


@pytest.mark.parametrize("seed", range(6))
def test_every_tensor_of_random_graphs(seed: int, tmp_path: Path) -> None:
    _assert_exact(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("isa", list(Isa))
def test_every_tensor_of_many_random_graphs(isa: Isa, tmp_path: Path) -> None:
    first = 1000 * (1 + list(Isa).index(isa))
    for seed in range(first, first + 80):
        _assert_exact(seed, tmp_path / str(seed), isa)


def test_random_graphs_cover_every_op_that_has_int16() -> None:
    seen = {
        operator.opcode
        for seed in range(300)
        for operator in make_int16_graph(np.random.default_rng(seed)).operators
    }
    assert seen == {opcode for opcode, operation in operations().items() if operation.int16}


def test_the_header_has_16_bit_inputs_and_outputs_at_even_places(tmp_path: Path) -> None:
    b = GraphBuilder("wide")
    x = b.input((5,), 0.25, 0, TensorType.INT16)
    y = b.op(
        "RELU", [x], None, shape=(5,), scale=0.5, zero_point=0, type=TensorType.INT16, version=2
    )
    b.output(y)
    artifacts = build(int8_model(b.graph(), "wide"), tmp_path / "aot")
    header = (artifacts.directory / "wide.h").read_text()
    assert "static inline int16_t *wide_input_0(uint8_t *arena)" in header
    assert "static inline int16_t *wide_output_0(uint8_t *arena)" in header
    assert "#define WIDE_INPUT_0_BYTES (10)" in header
    assert "#define WIDE_OUTPUT_0_SCALE (0.5f)" in header
    assert all(int(place) % 2 == 0 for place in re.findall(r"_OFFSET \((\d+)\)", header))


def test_a_pad_that_a_convolution_takes_over(tmp_path: Path) -> None:
    b = GraphBuilder("padded")
    x = b.input((1, 4, 4, 2), 0.001, 0, TensorType.INT16)
    paddings = b.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    padded = b.op(
        "PAD",
        [x, paddings],
        None,
        shape=(1, 6, 6, 2),
        scale=0.001,
        zero_point=0,
        type=TensorType.INT16,
    )
    rng = np.random.default_rng(3)
    taps = rng.integers(-127, 128, (3, 3, 3, 2)).astype(np.int8)
    w = b.constant(taps, scales=[0.01, 0.02, 0.03])
    c = b.constant(np.arange(3) * 1000, scales=[1e-5, 2e-5, 3e-5])
    y = b.op(
        "CONV_2D",
        [padded, w, c],
        Conv2DOptions(Padding.VALID),
        shape=(1, 4, 4, 3),
        scale=0.01,
        zero_point=0,
        type=TensorType.INT16,
        version=5,
    )
    b.output(y)
    graph = b.graph()
    sample = random_inputs(rng, graph)
    artifacts = assert_every_tensor_equals_reference(graph, [sample], tmp_path)
    assert [layer["opcode"] for layer in artifacts.figures["layers"]] == ["CONV_2D"]
    # What a board traces lacks the padded tensor; it is put back in 16 bits.
    whole = full_trace(graph, {(0, x): sample[0].tobytes()})
    around = np.pad(sample[0], [(0, 0), (1, 1), (1, 1), (0, 0)])
    assert whole[0, padded] == around.tobytes()

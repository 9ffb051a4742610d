from __future__ import annotations

import numpy as np
import pytest
from support.rewriting import opcodes, rewritten_by, the_pass

from converters.tflite.affine import dequantize, quantize
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, TensorType
from device_runners.edge_tpu.rewrites.reference import oracle

FLOAT = TensorType.FLOAT32


def framed(*, int8_output_too: bool = False, read_twice: bool = False) -> Graph:
    """QUANTIZE, RELU, DEQUANTIZE, with a float input and output."""
    b = GraphBuilder("framed")
    x = b.tensor((1, 16), FLOAT, name="samples")
    b._inputs.append(x)
    inner = b.op("QUANTIZE", [x], None, shape=(1, 16), scale=0.1, zero_point=-7)
    y = b.op("RELU", [inner], None, shape=(1, 16), scale=0.05, zero_point=3, version=2)
    if int8_output_too:
        b.output(y)
    if read_twice:
        b.output(b.op("ABS", [x], None, shape=(1, 16), scale=1, zero_point=0, type=FLOAT))
    b.output(
        b.op("DEQUANTIZE", [y], None, shape=(1, 16), scale=1, zero_point=0, type=FLOAT, version=2)
    )
    return b.graph()


def test_the_host_quantizes_and_dequantizes_as_the_operators_did() -> None:
    graph = framed()
    after = rewritten_by("io_types", graph)
    assert opcodes(after) == ["RELU v2"]
    (source,), (target,) = after.input_tensors, after.output_tensors
    rng = np.random.default_rng(0)
    for spread in (1, 10, 1000):
        sample = rng.uniform(-spread, spread, (1, 16)).astype(np.float32)
        (expected,) = oracle(graph).run([sample])
        (found,) = oracle(after).run([quantize(sample, source)])
        np.testing.assert_array_equal(dequantize(found, target), expected)


def test_the_note_says_how() -> None:
    change = the_pass("io_types").run(framed())
    assert change is not None
    assert "input 'tensor_1' is INT8: real = 0.100000001 * (q - -7)" in change.note
    assert "output 'tensor_2' is INT8: real = 0.0500000007 * (q - 3)" in change.note
    assert [text.split()[0] for text in change.operators] == ["QUANTIZE", "DEQUANTIZE"]


@pytest.mark.parametrize(
    ("graph", "left"),
    [
        (framed(int8_output_too=True), ["RELU v2", "DEQUANTIZE v2"]),
        (framed(read_twice=True), ["QUANTIZE v1", "RELU v2", "ABS v1"]),
    ],
)
def test_what_is_needed_elsewhere_stays(graph: Graph, left: list[str]) -> None:
    assert opcodes(rewritten_by("io_types", graph)) == left


def test_integer_inputs_and_outputs_stay() -> None:
    b = GraphBuilder("integer")
    x = b.input((1, 4), 0.1, 0, TensorType.UINT8)
    b.output(b.op("QUANTIZE", [x], None, shape=(1, 4), scale=0.1, zero_point=-128))
    assert the_pass("io_types").run(b.graph()) is None

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.host_equality import assert_every_tensor_equals_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import Conv2DOptions, DepthwiseConv2DOptions
from device_runners.cgen import full_trace
from device_runners.cgen.passes import run_passes
from device_runners.cgen.program import Program

_RNG = np.random.default_rng(1)
Pads = tuple[tuple[int, int], ...]


class _Net:
    """Layers one behind the other, in one quantization; the zero point is -7."""

    def __init__(self, size: int = 8) -> None:
        self.builder = GraphBuilder("pads")
        self.shape: tuple[int, ...] = (1, size, size, 4)
        self.last = self.builder.input(self.shape, 0.1, -7)

    def pad(self, pads: Pads, value: int | None = None) -> int:
        b = self.builder
        inputs = [self.last, b.constant(np.array(pads, np.int32))]
        if value is not None:
            inputs.append(b.constant(np.array([value], np.int8), scales=[0.1], zero_points=[-7]))
        self.shape = tuple(size + sum(p) for size, p in zip(self.shape, pads, strict=True))
        opcode = "PAD" if value is None else "PADV2"
        self.last = b.op(opcode, inputs, None, shape=self.shape, scale=0.1, zero_point=-7)
        return self.last

    def convolution(self, opcode: str, size: int, stride: int, padding: Padding) -> int:
        b, channels = self.builder, self.shape[3]
        depthwise = opcode == "DEPTHWISE_CONV_2D"
        taps = (1, size, size, channels) if depthwise else (channels, size, size, channels)
        w = b.constant(_RNG.integers(-99, 99, taps).astype(np.int8), scales=[0.02])
        c = b.constant(_RNG.integers(-99, 99, channels).astype(np.int32), scales=[0.002])
        activation = Activation.NONE
        options = (
            DepthwiseConv2DOptions(padding, stride, stride, 1, activation, 1, 1)
            if depthwise
            else Conv2DOptions(padding, stride, stride, activation, 1, 1)
        )
        cut = 0 if padding is Padding.SAME else size - 1
        height, width = (-(-(extent - cut) // stride) for extent in self.shape[1:3])
        self.shape = (1, height, width, channels)
        inputs = [self.last, w, c]
        self.last = b.op(opcode, inputs, options, shape=self.shape, scale=0.1, zero_point=-7)
        return self.last

    def graph(self) -> Graph:
        self.builder.output(self.last)
        return self.builder.graph()


def _opcodes(graph: Graph, folder: Path) -> list[str]:
    """The operators that are left, after a comparison of all tensors."""
    samples = [[_RNG.integers(-128, 128, graph.input_tensors[0].shape).astype(np.int8)]]
    assert_every_tensor_equals_reference(graph, samples, folder)
    program = run_passes(Program(graph))
    assert [op.index for op in program.graph.operators] == list(range(len(program.graph.operators)))
    return [op.opcode for op in program.graph.operators]


def _around(height: tuple[int, int], width: tuple[int, int]) -> Pads:
    return ((0, 0), height, width, (0, 0))


@pytest.mark.parametrize("opcode", ["CONV_2D", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize(
    ("pads", "size", "stride", "folds"),
    [
        (_around((1, 1), (1, 1)), 3, 1, True),
        (_around((0, 1), (0, 1)), 3, 2, True),  # what Keras puts in front of strides
        (_around((1, 1), (1, 1)), 3, 2, False),  # SAME would begin one pixel further right
        (_around((1, 0), (1, 0)), 3, 2, False),
        (_around((2, 2), (2, 2)), 3, 1, False),
        (_around((2, 2), (2, 2)), 5, 1, True),
        (((0, 0), (1, 1), (1, 1), (1, 1)), 3, 1, False),
    ],
)
def test_pads_that_same_padding_expresses_are_dropped(
    opcode: str, pads: Pads, size: int, stride: int, folds: bool, tmp_path: Path
) -> None:
    net = _Net()
    net.pad(pads)
    net.convolution(opcode, size, stride, Padding.VALID)
    left = _opcodes(net.graph(), tmp_path)
    assert left == ([opcode] if folds else ["PAD", opcode])


def test_other_values_than_the_zero_point_stay(tmp_path: Path) -> None:
    net = _Net()
    net.pad(_around((1, 1), (1, 1)), value=5)
    net.convolution("CONV_2D", 3, 1, Padding.VALID)
    assert _opcodes(net.graph(), tmp_path) == ["PADV2", "CONV_2D"]


def test_a_convolution_with_padding_of_its_own_keeps_the_pad(tmp_path: Path) -> None:
    net = _Net()
    net.pad(_around((1, 1), (1, 1)))
    net.convolution("CONV_2D", 3, 1, Padding.SAME)
    assert _opcodes(net.graph(), tmp_path) == ["PAD", "CONV_2D"]


def test_consecutive_pads_become_one(tmp_path: Path) -> None:
    net = _Net()
    net.pad(_around((1, 0), (2, 0)))
    net.pad(_around((0, 3), (1, 0)), value=-7)
    net.pad(((0, 0), (1, 1), (0, 0), (2, 0)))
    assert _opcodes(net.graph(), tmp_path) == ["PAD"]


def test_consecutive_pads_that_add_up_to_same_padding_are_dropped(tmp_path: Path) -> None:
    net = _Net()
    net.pad(_around((1, 1), (0, 0)))
    net.pad(_around((0, 0), (1, 1)))
    net.convolution("CONV_2D", 3, 1, Padding.VALID)
    assert _opcodes(net.graph(), tmp_path) == ["CONV_2D"]


def test_pads_of_different_values_stay_apart(tmp_path: Path) -> None:
    net = _Net()
    net.pad(_around((1, 0), (2, 0)), value=3)
    net.pad(_around((0, 3), (1, 0)))
    assert _opcodes(net.graph(), tmp_path) == ["PADV2", "PAD"]


def test_a_pad_that_is_an_output_stays(tmp_path: Path) -> None:
    net = _Net()
    net.builder.output(net.pad(_around((1, 1), (1, 1))))
    net.convolution("CONV_2D", 3, 1, Padding.VALID)
    assert _opcodes(net.graph(), tmp_path) == ["PAD", "CONV_2D"]


def test_a_trace_of_bytes_gets_the_dropped_tensors_back() -> None:
    net = _Net(size=2)
    source = net.last
    first = net.pad(_around((1, 1), (0, 0)))
    second = net.pad(_around((0, 0), (1, 1)))
    net.convolution("CONV_2D", 3, 1, Padding.VALID)
    image = np.arange(16, dtype=np.int8).reshape(1, 2, 2, 4)
    whole = full_trace(net.graph(), {(0, source): image.tobytes()})
    expected = np.pad(image, _around((1, 1), (0, 0)), constant_values=-7)
    assert whole[0, first] == expected.tobytes()
    expected = np.pad(image, _around((1, 1), (1, 1)), constant_values=-7)
    assert whole[0, second] == expected.tobytes()

"""Generated code of one small layer per kernel family, kept as files: a change shows as a diff.

After an intended change, delete the file and run the test once: it is written anew, and fails.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from support.int4_layers import with_int4_weights
from support.models import int8_model

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding, TensorType
from converters.tflite.options import (
    AddOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    TransposeConvOptions,
)
from device_runners.cgen import Isa, build

GOLDEN = Path(__file__).parent / "golden"
SCALES = [0.01, 0.02, 0.03, 0.04]


def _values(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape)) * 37 % 255 - 127).reshape(shape).astype(np.int8)


def convolution() -> Graph:
    b = GraphBuilder("conv")
    x = b.input((1, 4, 4, 3), 0.5, -128)
    w = b.constant(_values(4, 3, 3, 3), scales=SCALES, axis=0)
    c = b.constant(np.arange(4, dtype=np.int32) * 100, scales=[0.5 * s for s in SCALES])
    options = Conv2DOptions(Padding.SAME, 1, 1, Activation.RELU, 1, 1)
    b.output(
        b.op(
            "CONV_2D", [x, w, c], options, shape=(1, 4, 4, 4), scale=2.0, zero_point=-128, version=3
        )
    )
    return b.graph()


def int4_convolution() -> Graph:
    b = GraphBuilder("int4_conv")
    x = b.input((1, 3, 3, 8), 0.5, -128)
    w = b.constant(_values(12, 3, 3, 8), scales=SCALES * 3, axis=0)
    c = b.constant(np.arange(12, dtype=np.int32) * 100, scales=[0.5 * s for s in SCALES * 3])
    options = Conv2DOptions(Padding.SAME, 1, 1, Activation.RELU, 1, 1)
    shape, quantization = (1, 3, 3, 12), {"scale": 2.0, "zero_point": -128}
    b.output(b.op("CONV_2D", [x, w, c], options, shape=shape, version=3, **quantization))
    return with_int4_weights(b.graph())


def int4_dense() -> Graph:
    b = GraphBuilder("int4_dense")
    x = b.input((1, 48), 0.5, 3)
    w = b.constant(_values(32, 48), scales=[0.02], axis=0)
    y = b.op(
        "FULLY_CONNECTED",
        [x, w],
        FullyConnectedOptions(Activation.NONE),
        shape=(1, 32),
        scale=3.0,
        zero_point=7,
        version=5,
    )
    b.output(y)
    return with_int4_weights(b.graph())


def depthwise() -> Graph:
    b = GraphBuilder("depthwise")
    x = b.input((1, 4, 5, 4), 0.5, -128)
    w = b.constant(_values(1, 3, 3, 4), scales=SCALES, axis=3)
    c = b.constant(np.arange(4, dtype=np.int32) * 100, scales=[0.5 * s for s in SCALES])
    options = DepthwiseConv2DOptions(Padding.SAME, 1, 1, 1, Activation.RELU, 1, 1)
    name = "DEPTHWISE_CONV_2D"
    b.output(
        b.op(name, [x, w, c], options, shape=(1, 4, 5, 4), scale=1.0, zero_point=-128, version=3)
    )
    return b.graph()


def transposed_convolution() -> Graph:
    b = GraphBuilder("transposed")
    x = b.input((1, 3, 3, 4), 0.5, -128)
    w = b.constant(_values(4, 3, 3, 4), scales=SCALES, axis=0)
    size = b.constant(np.array([1, 6, 6, 4], np.int32))
    options = TransposeConvOptions(Padding.SAME, 2, 2, Activation.NONE)
    shape, quantization = (1, 6, 6, 4), {"scale": 2.0, "zero_point": -128}
    b.output(b.op("TRANSPOSE_CONV", [size, w, x], options, shape=shape, version=4, **quantization))
    return b.graph()


def depthwise_window() -> Graph:
    b = GraphBuilder("depthwise_window")
    x = b.input((1, 6, 7, 4), 0.5, -128)
    w = b.constant(_values(1, 5, 5, 4), scales=SCALES, axis=3)
    c = b.constant(np.arange(4, dtype=np.int32) * 100, scales=[0.5 * s for s in SCALES])
    options = DepthwiseConv2DOptions(Padding.SAME, 1, 1, 1, Activation.RELU, 1, 1)
    name = "DEPTHWISE_CONV_2D"
    b.output(
        b.op(name, [x, w, c], options, shape=(1, 6, 7, 4), scale=2.0, zero_point=-128, version=3)
    )
    return b.graph()


def dense() -> Graph:
    b = GraphBuilder("dense")
    x = b.input((1, 12), 0.5, 3)
    w = b.constant(_values(4, 12), scales=[0.02], axis=0)
    c = b.constant(np.arange(4, dtype=np.int32) * 100, scales=[float(np.float32(0.5 * 0.02))])
    options = FullyConnectedOptions(Activation.NONE)
    y = b.op(
        "FULLY_CONNECTED", [x, w, c], options, shape=(1, 4), scale=3.0, zero_point=7, version=5
    )
    b.output(y)
    return b.graph()


def addition() -> Graph:
    b = GraphBuilder("addition")
    x, y = b.input((1, 6), 0.5, -128), b.input((1, 6), 0.25, 4)
    b.output(b.op("ADD", [x, y], AddOptions(), shape=(1, 6), scale=0.6, zero_point=-1, version=2))
    return b.graph()


def int16_convolution() -> Graph:
    b = GraphBuilder("int16_convolution")
    x = b.input((1, 4, 4, 3), 0.005, 0, TensorType.INT16)
    w = b.constant(_values(4, 3, 3, 3), scales=SCALES, axis=0)
    c = b.constant(np.arange(4) * 100, scales=[0.005 * s for s in SCALES])
    options = Conv2DOptions(Padding.SAME, 1, 1, Activation.RELU, 1, 1)
    y = b.op(
        "CONV_2D",
        [x, w, c],
        options,
        shape=(1, 4, 4, 4),
        scale=0.02,
        zero_point=0,
        type=TensorType.INT16,
        version=5,
    )
    b.output(y)
    return b.graph()


# Of int16 the kernels are the same at all levels.
_CASES = [
    *itertools.product([convolution, depthwise, dense, addition], Isa),
    *itertools.product([int4_convolution, int4_dense], Isa),
    (int16_convolution, Isa.SCALAR),
    (depthwise_window, Isa.DSP),
    (depthwise_window, Isa.MVE),
    (transposed_convolution, Isa.DSP),
]


@pytest.mark.parametrize(("graph", "isa"), _CASES)
def test_the_generated_code_is_the_one_on_file(graph: object, isa: Isa, tmp_path: Path) -> None:
    assert callable(graph)
    name = graph.__name__
    artifacts = build(int8_model(graph(), name), tmp_path / "aot", isa)
    text = (artifacts.directory / f"{name}.c").read_text()
    # The digest of all kernels changes with any of them.
    text = re.sub(r"(TIDEPOOL_KERNELS_VERSION != 0x)\w+", r"\g<1>...", text)
    path = GOLDEN / f"{name}_{isa}.c"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        pytest.fail(f"{path.name} is written; look at it")
    assert text == path.read_text()

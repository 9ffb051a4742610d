"""Graphs of layers with a state, with random weights."""

from __future__ import annotations

import numpy as np

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, TensorType
from converters.tflite.options import SVDFOptions


def svdf(b: GraphBuilder, rng: np.random.Generator, x: int, shape: tuple[int, int]) -> int:
    """Appends an SVDF of random size on an int8 tensor of this shape, in the scale 0.05."""
    batches, size = shape
    rank, units, memory = (int(rng.integers(1, limit)) for limit in (4, 9, 11))
    filters = rank * units
    state_scale, time_scale = 10.0 ** rng.uniform(-4, -2.5), 10.0 ** rng.uniform(-5, -4)
    feature = rng.integers(-128, 128, (filters, size)).astype(np.int8)
    # Now and then over the full range: then the sums wrap around.
    largest = 32768 if rng.random() < 0.2 else 3000
    time = rng.integers(-largest, largest, (filters, memory)).astype(np.int16)
    bias = rng.integers(-(10**6), 10**6, units).astype(np.int32)
    state = b.tensor(
        (batches, filters * memory), TensorType.INT16, scales=[state_scale], is_variable=True
    )
    spread = state_scale * time_scale * largest * 10**4 * memory**0.5
    return b.op(
        "SVDF",
        [
            x,
            b.constant(feature, scales=[10.0 ** rng.uniform(-3, -2)]),
            b.constant(time, scales=[time_scale]),
            b.constant(bias, scales=[state_scale * time_scale]) if rng.random() < 0.8 else -1,
            state,
        ],
        SVDFOptions(rank=rank, fused_activation_function=Activation.RELU),
        shape=(batches, units),
        scale=max(spread / 100 * rng.uniform(0.5, 2), 3 * state_scale * time_scale),
        zero_point=int(rng.choice([-128, 0, int(rng.integers(-128, 128))])),
        version=3,
    )


def svdf_graph(seed: int, layers: int = 1) -> Graph:
    """SVDF layers side by side on one input, and LOGISTIC behind each."""
    rng = np.random.default_rng([23, seed])
    b = GraphBuilder("svdf")
    shape = (int(rng.integers(1, 4)), int(rng.integers(1, 33)))
    x = b.input(shape, 0.05, int(rng.integers(-128, 128)))
    for _ in range(layers):
        y = svdf(b, rng, x, shape)
        b.output(y)
        units = b.graph().tensor(y).shape
        b.output(b.op("LOGISTIC", [y], None, shape=units, scale=1 / 256, zero_point=-128))
    return b.graph()

"""Graphs of layers with a state, with random weights."""

from __future__ import annotations

import numpy as np

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, TensorType
from converters.tflite.options import SVDFOptions, UnidirectionalSequenceLSTMOptions


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


def lstm(
    b: GraphBuilder,
    rng: np.random.Generator,
    x: int,
    *,
    time_major: bool = True,
    coupled: bool = False,
    units: int = 0,
) -> int:
    """Appends an LSTM of random size and quantization on an int8 tensor of three dimensions."""
    shape = b.graph().tensor(x).shape
    units = units or int(rng.integers(1, 13))
    batches = shape[1] if time_major else shape[0]
    gates = range(1 if coupled else 0, 4)

    def weights(columns: int) -> list[int]:
        return [
            b.constant(
                rng.integers(-127, 128, (units, columns)).astype(np.int8),
                scales=[10.0 ** rng.uniform(-3, -1.5)],
            )
            if gate in gates
            else -1
            for gate in range(4)
        ]

    biases = [
        b.constant(rng.integers(-5000, 5000, units).astype(np.int32), scales=[1e-4])
        if gate in gates
        else -1
        for gate in range(4)
    ]
    scale, zero_point = float(rng.uniform(0.5, 1.5)) / 128, int(rng.integers(-20, 20))
    state = b.tensor((batches, units), scales=[scale], zero_points=[zero_point], is_variable=True)
    cell_scale = 2.0 ** int(rng.integers(-15, -8))
    cell = b.tensor((batches, units), TensorType.INT16, scales=[cell_scale], is_variable=True)
    inputs = [x, *weights(shape[2]), *weights(units), -1, -1, -1, *biases, -1, -1, state, cell]
    intermediates = [b.tensor((0,), TensorType.FLOAT32) for _ in range(4)]
    intermediates.append(b.tensor((0,), scales=[scale], zero_points=[zero_point]))
    output = b.tensor((*shape[:2], units), scales=[scale], zero_points=[zero_point])
    clip = float(np.float32(rng.choice([0.0, 10.0, rng.uniform(0.1, 2)])))
    options = UnidirectionalSequenceLSTMOptions(Activation.TANH, clip, time_major=time_major)
    b.operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        [*inputs, -1, -1, -1, -1],
        options,
        [output],
        version=3,
        intermediates=intermediates,
    )
    return output


def lstm_graph(seed: int) -> Graph:
    """One LSTM, or two in a row; batches, order, sizes, scales and gates by the seed."""
    rng = np.random.default_rng([29, seed])
    b = GraphBuilder("lstm")
    shape = (int(rng.integers(1, 6)), int(rng.integers(1, 4)), int(rng.integers(1, 20)))
    y = b.input(shape, 10.0 ** rng.uniform(-2.5, -1), int(rng.integers(-128, 128)))
    for _ in range(int(rng.integers(1, 3))):
        order, coupled = bool(rng.random() < 0.5), bool(rng.random() < 0.3)
        y = lstm(b, rng, y, time_major=order, coupled=coupled)
    b.output(y)
    return b.graph()

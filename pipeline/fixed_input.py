"""Reproducible inputs for running a model without data.

The first sample is the input that the TFLM baseline was measured on, so its output's checksum and
its instruction count can be compared with the recorded ones.
"""

from __future__ import annotations

import numpy as np

from converters.tflite import Graph
from converters.tflite.graph import Array

SEED = 0x12345678


def fixed_samples(graph: Graph, count: int) -> list[list[Array]]:
    """Fills the inputs of ``count`` samples with bytes of one xorshift32 stream.

    Marsaglia, "Xorshift RNGs" (2003), with shifts 13, 17, 5; a byte is the state's highest eight
    bits. Inputs are filled in order, sample by sample.

    Returns:
        For each sample one array an input, in the input's shape and dtype.
    """
    sizes = [tensor.bytes for tensor in graph.input_tensors]
    stream = _bytes(sum(sizes) * count)
    samples = []
    for _ in range(count):
        sample: list[Array] = []
        for tensor, size in zip(graph.input_tensors, sizes, strict=True):
            raw, stream = stream[:size], stream[size:]
            sample.append(raw.view(tensor.type.dtype).reshape(tensor.shape))
        samples.append(sample)
    return samples


def _bytes(count: int) -> Array:
    state = SEED
    result = bytearray(count)
    for position in range(count):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        result[position] = state >> 24
    return np.frombuffer(bytes(result), np.uint8)

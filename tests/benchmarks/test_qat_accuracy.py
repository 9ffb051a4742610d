from __future__ import annotations

import numpy as np
from qat_accuracy import accuracy
from qat_training import Data

from converters.tflite.builder import GraphBuilder
from converters.tflite.options import ReshapeOptions
from converters.tflite.writer import write_graph


def _reader_of_pixels() -> bytes:
    """A network whose logits are the ten pixels of its image."""
    builder = GraphBuilder("pixels")
    image = builder.input((1, 1, 10, 1), 1 / 255, -128)
    shape = builder.constant(np.array([1, 10], np.int32))
    options = ReshapeOptions(new_shape=(1, 10))
    logits = builder.op(
        "RESHAPE", [image, shape], options, shape=(1, 10), scale=1 / 255, zero_point=-128
    )
    builder.output(logits)
    return write_graph(builder.graph())


def test_accuracy_counts_the_right_answers_of_the_file() -> None:
    x = np.random.default_rng(0).uniform(0, 0.9, (40, 1, 10, 1)).astype(np.float32)
    x[np.arange(40), 0, np.arange(40) % 10, 0] = 1.0
    y = np.arange(40) % 10
    y[:10] = (y[:10] + 1) % 10
    assert accuracy(_reader_of_pixels(), Data(x, y)) == 0.75

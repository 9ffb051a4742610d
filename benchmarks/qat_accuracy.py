"""The accuracy of a .tflite file on LiteRT's reference kernels."""

from __future__ import annotations

import numpy as np
from qat_training import Data

from converters.tflite import read_graph
from converters.tflite.affine import quantize
from device_runners.host.oracle import Oracle


def accuracy(content: bytes, data: Data) -> float:
    """The share of right answers, from 0 to 1, of a classifier with one input and one output.

    Args:
        content: The .tflite file; its batch is 1.
        data: Images in real units and their classes.
    """
    (source,) = read_graph(content).input_tensors
    oracle = Oracle(content)
    images = quantize(data.x, source)
    answers = [int(oracle.run([image[np.newaxis]])[0].argmax()) for image in images]
    return float(np.mean(np.asarray(answers) == data.y))

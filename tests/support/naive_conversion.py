"""The conversion that most tutorials show: full-integer int8 with the batch left open.

Tidepool's own route (``converters.tflite.convert_int8``) fixes the batch first. This one leaves
in the file what the Edge TPU's compiler trips over, so that tests can show it before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

CALIBRATION_SAMPLES = 16


def naive_int8(model: Any, *, io_type: str = "int8", fixed_batch: bool = False) -> bytes:
    """Converts a Keras model with TensorFlow alone, calibrated on random samples in -1..1.

    Args:
        model: A Keras model; its batch is None.
        io_type: Type of the model's inputs and outputs: int8, uint8 or float32.
        fixed_batch: Trace it with a batch of 1, and don't leave that to the converter.
    """
    import tensorflow as tf

    shapes = [(1, *tensor.shape[1:]) for tensor in model.inputs]

    def samples() -> Iterator[list[np.ndarray]]:
        rng = np.random.default_rng(7)
        for _ in range(CALIBRATION_SAMPLES):
            yield [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]

    if fixed_batch:
        specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        call = tf.function(lambda *inputs: model(inputs if len(inputs) > 1 else inputs[0]))
        traced = call.get_concrete_function(*specs)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced])
    else:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.as_dtype(io_type)
    converter.inference_output_type = tf.as_dtype(io_type)
    content: bytes = converter.convert()
    return content


@cache
def naive_int8_of(
    build: Callable[[], Any], *, io_type: str = "int8", fixed_batch: bool = False
) -> bytes:
    """The same, of a function that makes the model; converted once for all tests of a process."""
    import keras

    # What the converter makes of a model depends on the names of its layers, too.
    keras.utils.clear_session()
    keras.utils.set_random_seed(5)
    return naive_int8(build(), io_type=io_type, fixed_batch=fixed_batch)

"""Affine quantization of values that enter and leave a model: ``real = scale * (q - zp)``."""

from __future__ import annotations

import numpy as np

from converters.tflite.graph import Array, Tensor


def quantize(real: Array, tensor: Tensor) -> Array:
    """Quantizes real values as TFLite's QUANTIZE does (``reference_ops::AffineQuantize``).

    The quotient is computed in float32 and rounded half away from zero, then the zero point is
    added and the sum clamped to the tensor's type.

    Args:
        real: Values of any shape.
        tensor: A tensor with one scale and zero point.

    Returns:
        Integers of the tensor's type, in the shape of ``real``.
    """
    scaled = np.asarray(real, np.float32) / np.float32(tensor.scale)
    rounded = np.copysign(np.floor(np.abs(scaled) + np.float32(0.5)), scaled)
    limits = np.iinfo(tensor.type.dtype)
    shifted = rounded.astype(np.float64) + tensor.zero_point
    result: Array = np.clip(shifted, limits.min, limits.max).astype(tensor.type.dtype)
    return result


def dequantize(integers: Array, tensor: Tensor) -> Array:
    """The real values, as float32, that integers of a tensor stand for.

    An integer tensor without quantization (indices, an ARG_MAX) stands for its integers.
    """
    if tensor.quantization is None:
        return np.asarray(integers).astype(np.float32)
    centred = np.asarray(integers).astype(np.int64) - tensor.zero_point
    result: Array = (centred * np.float64(tensor.scale)).astype(np.float32)
    return result


def real_range(tensor: Tensor) -> tuple[float, float]:
    """The least and the greatest real value that a quantized tensor can hold."""
    limits = np.iinfo(tensor.type.dtype)
    return (
        tensor.scale * (int(limits.min) - tensor.zero_point),
        tensor.scale * (int(limits.max) - tensor.zero_point),
    )

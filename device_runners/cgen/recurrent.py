"""What the layers with a state share: their variables, and factors in the reference's float32."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from converters.tflite.graph import Array, Tensor, TensorType
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen.checks import describe
from device_runners.cgen.operation import OpContext

_SUM_LIMIT = 2**30


def reset_value(tensor: Tensor) -> int:
    """What every element of a variable starts with: the zero point, of int16 always 0."""
    return tensor.zero_point if tensor.type is TensorType.INT8 else 0


def check_state(
    context: OpContext, position: int, type_: TensorType, elements: int
) -> Iterator[str]:
    """A variable of its own, of a type and size, with a scale."""
    tensor = context.optional_input(position)
    if tensor is None:
        yield f"has no state (input {position})"
        return
    if not tensor.is_variable or tensor.is_constant or tensor.index in context.graph.inputs:
        yield f"has the state {describe(tensor)}, which is no variable of the graph"
    if tensor.type is not type_:
        yield f"has a state of type {tensor.type} ({describe(tensor)}); {type_} is supported"
    if tensor.elements != elements:
        yield f"has a state of {tensor.elements} elements ({describe(tensor)}), not {elements}"
    quantization = tensor.quantization
    if quantization is None or quantization.per_channel or not quantization.scales[0] > 0:
        yield f"has a state without a scale of its own ({describe(tensor)})"
    elif type_ is TensorType.INT16 and tensor.zero_point != 0:
        yield f"has a state with the zero point {tensor.zero_point} ({describe(tensor)}), not 0"
    if len(context.graph.consumers(tensor.index)) > 1:
        yield f"shares its state {describe(tensor)} with another operator"


def check_sums(bounds: npt.NDArray[np.int64], factor: Multiplier) -> Iterator[str]:
    """Sums that ``tidepool_short_requantize`` takes, also after a shift to the left."""
    largest = int(bounds.max()) << max(factor.shift, 0)
    if largest >= _SUM_LIMIT:
        yield f"can overflow: a sum that is scaled to int16 reaches {largest}, beyond 2^30"


def weights_scale(tensor: Tensor, role: str) -> Iterator[str]:
    """One scale, and 0 as the zero point: the reference kernel looks at no other."""
    quantization = tensor.quantization
    if quantization is None or quantization.per_channel:
        yield f"has {role} without one scale for all ({describe(tensor)})"
    elif any(quantization.zero_points):
        yield f"has {role} with a zero point other than 0 ({describe(tensor)})"


def float32_factor(one: float, other: float, result: float) -> Multiplier:
    """``one * other / result``, each step rounded to float32 as in the reference."""
    product = np.float32(one) * np.float32(other)
    return quantize_multiplier(float(product / np.float32(result)))


def zero_point_bias(weights: Array, zero_point: int) -> Array:
    """(rows,) int64: what the zero point of the input adds to the sums of (rows, depth) weights."""
    sums: Array = -zero_point * weights.astype(np.int64).sum(1)
    return sums

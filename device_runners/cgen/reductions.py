"""What SUM, MEAN, REDUCE_MAX and REDUCE_MIN share: constant axes, and the dimensions they split."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from converters.tflite.graph import TensorType
from converters.tflite.multiplier import Multiplier
from converters.tflite.options import ReducerOptions
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.int16 import REASON
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation
from device_runners.cgen.requantization import INT16_MIN

MAX_DIMENSIONS = 4
"""``TIDEPOOL_MAX_REDUCE_DIMENSIONS``."""


def _axes(context: OpContext) -> list[int]:
    """The reduced dimensions, sorted; out-of-range ones stay negative or too large."""
    rank = len(context.input(0).shape)
    written = {int(axis) for axis in context.data(1).ravel()}
    return sorted({axis + rank if axis < 0 else axis for axis in written})


def count(context: OpContext) -> int:
    """How many elements become one."""
    return math.prod(context.input(0).shape[axis] for axis in _axes(context))


def _output_shape(context: OpContext) -> tuple[int, ...]:
    options, reduced = context.operator.options, _axes(context)
    keep = isinstance(options, ReducerOptions) and options.keep_dims
    shape = enumerate(context.input(0).shape)
    if keep:
        return tuple(1 if d in reduced else size for d, size in shape)
    return tuple(size for d, size in shape if d not in reduced)


def _split(context: OpContext) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(size, stride) of the kept and the reduced dimensions, neighbours of a kind merged."""
    shape, chosen = context.input(0).shape, _axes(context)
    kept: list[tuple[int, int]] = []
    reduced: list[tuple[int, int]] = []
    dimensions = [d for d in range(len(shape)) if shape[d] > 1]
    for is_reduced, group in groupby(dimensions, key=lambda d: d in chosen):
        members = list(group)
        size = math.prod(shape[d] for d in members)
        (reduced if is_reduced else kept).append((size, math.prod(shape[members[-1] + 1 :])))
    return kept, reduced


def _check_reduction(
    context: OpContext,
    activations: Callable[[OpContext], Iterator[str]] = checks.int8_activations,
) -> Iterator[str]:
    """Types, constant axes that the input has, and the output's shape."""
    basics = [
        *activations(context),
        *checks.options(context, ReducerOptions),
        *checks.constant(context, 1, "axes", TensorType.INT32),
    ]
    yield from basics
    if basics:
        return
    rank = len(context.input(0).shape)
    if any(not 0 <= axis < rank for axis in _axes(context)):
        yield f"reduces the axes {context.data(1).ravel().tolist()} of {rank} dimensions"
        return
    yield from checks.output_shape(context, _output_shape(context))
    if any(len(group) > MAX_DIMENSIONS for group in _split(context)):
        yield f"alternates between kept and reduced dimensions more than {MAX_DIMENSIONS} times"


def _reduction_params(context: OpContext) -> dict[str, object]:
    """The fields of ``tidepool_reduction``."""
    kept, reduced = _split(context)
    return {**_sizes(kept, "kept"), **_sizes(reduced, "reduced")}


def _sizes(group: Sequence[tuple[int, int]], name: str) -> dict[str, tuple[int, ...]]:
    full = [(1, 0)] * (MAX_DIMENSIONS - len(group)) + list(group)
    return {
        f"{name}_sizes": tuple(size for size, _ in full),
        f"{name}_strides": tuple(stride for _, stride in full),
    }


def extremum_operation(opcode: str) -> Operation:
    """REDUCE_MAX or REDUCE_MIN."""

    def check(context: OpContext) -> Iterator[str]:
        found = list(_check_reduction(context, checks.activations))
        yield from found
        if not found:
            yield from checks.same_quantization(
                context.input(0), context.output, "input and output"
            )

    def emit(context: OpContext) -> Emission:
        source, params = context.input(0), _reduction_params(context)
        size = source.type.dtype.itemsize
        kernel = opcode.lower() + ("_int16" if size == 2 else "")
        call = KernelCall(
            f"tidepool_{kernel}",
            "tidepool_reduction",
            params,
            (source.index,),
            element_bytes=size,
        )
        return Emission(
            kernel=kernel,
            calls=(call,),
            summary=f"over the axes {_axes(context)}",
            constants=operand_arrays(context, 0),
        )

    return Operation(opcode, versions=3, inputs=(2, 2), check=check, emit=emit, int16=True)


def sum_operation(opcode: str, multiplier: Callable[[OpContext], Multiplier]) -> Operation:
    """SUM or MEAN: a sum, times a factor.

    Args:
        opcode: The operator's name.
        multiplier: From the sum of the input's steps to the output's.
    """

    def check(context: OpContext) -> Iterator[str]:
        found = list(_check_reduction(context))
        yield from found
        if found:
            return
        if count(context) * 255 << max(multiplier(context).shift, 0) >= checks.ACCUMULATOR_LIMIT:
            yield f"can overflow a 32-bit accumulator over {count(context)} elements"

    def emit(context: OpContext) -> Emission:
        source, factor = context.input(0), multiplier(context)
        params: dict[str, object] = {
            "reduction": _reduction_params(context),
            "zero_point_sum": source.zero_point * count(context),
            "multiplier": factor.value,
            "shift": factor.shift,
            "output_zero_point": context.output.zero_point,
        }
        return Emission(
            kernel="sum",
            calls=(KernelCall("tidepool_sum", "tidepool_sum_params", params, (source.index,)),),
            summary=f"over the axes {_axes(context)}",
            constants=operand_arrays(context, 0),
        )

    return Operation(opcode, versions=2, inputs=(2, 2), check=check, emit=emit)


def check_int16_mean(
    context: OpContext, multiplier: Callable[[OpContext], Multiplier]
) -> Iterator[str]:
    """MEAN of an int16 tensor: a sum that fits in 32 bits."""
    found = list(_check_reduction(context, checks.int16_activations))
    yield from found
    if found:
        return
    largest = -INT16_MIN * count(context)
    if largest << max(multiplier(context).shift, 0) >= checks.ACCUMULATOR_LIMIT:
        yield f"can overflow a 32-bit accumulator over {count(context)} elements"


def emit_int16_mean(context: OpContext, multiplier: Callable[[OpContext], Multiplier]) -> Emission:
    """A call of ``tidepool_mean_int16``."""
    source, factor = context.input(0), multiplier(context)
    params: dict[str, object] = {
        "reduction": _reduction_params(context),
        "multiplier": factor.value,
        "shift": factor.shift,
    }
    name = "tidepool_mean_int16"
    call = KernelCall(name, f"{name}_params", params, (source.index,), element_bytes=2)
    return Emission(
        kernel="mean_int16",
        calls=(call,),
        summary=f"over the axes {_axes(context)}",
        constants=operand_arrays(context, 0),
        reason=REASON,
    )

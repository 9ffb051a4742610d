"""MEAN over any constant set of dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from converters.tflite.graph import TensorType
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import ReducerOptions
from device_runners.cgen import checks
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation

_MAX_DIMENSIONS = 4  # TIDEPOOL_MAX_MEAN_DIMENSIONS


def _axes(context: OpContext) -> list[int]:
    """The reduced dimensions, sorted; out-of-range ones stay negative or too large."""
    rank = len(context.input(0).shape)
    axes = {int(axis) for axis in context.data(1).ravel()}
    return sorted({axis + rank if axis < 0 else axis for axis in axes})


def _count(context: OpContext) -> int:
    count = 1
    for axis in _axes(context):
        count *= context.input(0).shape[axis]
    return count


def _multiplier(context: OpContext) -> Multiplier:
    """input scale / output scale / number of elements, the division as the reference does it.

    The multiplier is shifted up by as many bits as the count has, so that dividing it loses little.
    """
    scale = quantize_multiplier(context.input(0).scale / context.output.scale)
    count = _count(context)
    shift = min(count.bit_length() - 1, 32, 31 + scale.shift)
    return Multiplier((scale.value << shift) // count, scale.shift - shift)


def _output_shape(context: OpContext) -> tuple[int, ...]:
    axes = _axes(context)
    options = context.operator.options
    keep = isinstance(options, ReducerOptions) and options.keep_dims
    shape = enumerate(context.input(0).shape)
    if keep:
        return tuple(1 if d in axes else size for d, size in shape)
    return tuple(size for d, size in shape if d not in axes)


def _split(context: OpContext) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(size, stride) of the kept and the reduced dimensions, neighbours of a kind merged."""
    axes, shape = _axes(context), context.input(0).shape
    strides = [1] * len(shape)
    for d in reversed(range(len(shape) - 1)):
        strides[d] = strides[d + 1] * shape[d + 1]
    kept: list[tuple[int, int]] = []
    reduced: list[tuple[int, int]] = []
    dimensions = [d for d in range(len(shape)) if shape[d] > 1]
    for is_reduced, group in groupby(dimensions, key=lambda d: d in axes):
        members = list(group)
        size = 1
        for d in members:
            size *= shape[d]
        (reduced if is_reduced else kept).append((size, strides[members[-1]]))
    return kept, reduced


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_activations(context),
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
    if any(len(group) > _MAX_DIMENSIONS for group in _split(context)):
        yield f"alternates between kept and reduced dimensions more than {_MAX_DIMENSIONS} times"
    if _count(context) * 255 << max(_multiplier(context).shift, 0) >= checks.ACCUMULATOR_LIMIT:
        yield f"can overflow a 32-bit accumulator over {_count(context)} elements"


def _sizes(group: Sequence[tuple[int, int]], name: str) -> dict[str, tuple[int, ...]]:
    full = [(1, 0)] * (_MAX_DIMENSIONS - len(group)) + list(group)
    return {
        f"{name}_sizes": tuple(size for size, _ in full),
        f"{name}_strides": tuple(stride for _, stride in full),
    }


def _emit(context: OpContext) -> Emission:
    source, output = context.input(0), context.output
    kept, reduced = _split(context)
    multiplier = _multiplier(context)
    params: dict[str, object] = {
        **_sizes(kept, "kept"),
        **_sizes(reduced, "reduced"),
        "zero_point_sum": source.zero_point * _count(context),
        "multiplier": multiplier.value,
        "shift": multiplier.shift,
        "output_zero_point": output.zero_point,
    }
    return Emission(
        kernel="mean",
        calls=(KernelCall("tidepool_mean", "tidepool_mean_params", params, (source.index,)),),
        summary=f"over the axes {_axes(context)}",
        constants=operand_arrays(context, 0),
    )


OP = Operation("MEAN", versions=2, inputs=(2, 2), check=_check, emit=_emit)

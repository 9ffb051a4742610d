"""BATCH_MATMUL of computed or constant operands, transposed or not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from converters.tflite.graph import Tensor
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import BatchMatMulOptions
from device_runners.cgen import checks
from device_runners.cgen.channel_packing import factor_of
from device_runners.cgen.elementwise import broadcast_shape, operand_arrays
from device_runners.cgen.operation import Emission, KernelCall, OpContext, Operation

_MAX_BATCH_DIMENSIONS = 3


@dataclass(frozen=True)
class _Matrices:
    """An operand as matrices: its batches, and (size, stride) of rows and columns."""

    batches: tuple[int, ...]
    rows: tuple[int, int]
    columns: tuple[int, int]


def _matrices(tensor: Tensor, transposed: bool) -> _Matrices:
    rows, columns = (tensor.shape[-2], tensor.shape[-1]), (tensor.shape[-1], 1)
    if transposed:
        return _Matrices(tensor.shape[:-2], columns, rows)
    return _Matrices(tensor.shape[:-2], rows, columns)


def _options(context: OpContext) -> BatchMatMulOptions:
    options = context.operator.options
    assert isinstance(options, BatchMatMulOptions)
    return options


def _operands(context: OpContext) -> tuple[_Matrices, _Matrices]:
    options = _options(context)
    return (
        _matrices(context.input(0), options.adj_x),
        _matrices(context.input(1), options.adj_y),
    )


def _multiplier(context: OpContext) -> Multiplier:
    """scale 1 * scale 2 / output scale; the reference multiplies in float32."""
    product = np.float32(context.input(0).scale) * np.float32(context.input(1).scale)
    return quantize_multiplier(float(product) / context.output.scale)


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_activations(context, (0, 1)),
        *checks.options(context, BatchMatMulOptions),
    ]
    yield from basics
    if basics:
        return
    shapes = [list(context.input(position).shape) for position in (0, 1)]
    if any(not 2 <= len(shape) <= 2 + _MAX_BATCH_DIMENSIONS for shape in shapes):
        yield f"multiplies {shapes[0]} and {shapes[1]}; 2 to 5 dimensions are supported"
        return
    first, second = _operands(context)
    batches = broadcast_shape(first.batches, second.batches)
    if first.columns[0] != second.rows[0] or batches is None:
        yield f"can't multiply {shapes[0]} and {shapes[1]}"
        return
    yield from checks.output_shape(context, (*batches, first.rows[0], second.columns[0]))
    if _options(context).adj_x and math.prod(second.batches) != math.prod(batches):
        # Here the reference leaves all results but the first batch's at 0.
        yield "repeats the second operand over the batches of a transposed first one"
    bound = first.columns[0] * 255 * 255
    if bound << max(_multiplier(context).shift, 0) >= checks.ACCUMULATOR_LIMIT:
        yield f"can overflow a 32-bit accumulator over {first.columns[0]} products"


def _batch_strides(batches: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Strides of three batch dimensions; 0 where an operand is repeated."""
    strides, step = [], size
    for extent in reversed(batches):
        strides.append(0 if extent == 1 else step)
        step *= extent
    return (0,) * (_MAX_BATCH_DIMENSIONS - len(strides)) + tuple(reversed(strides))


def _emit(context: OpContext) -> Emission:
    left, right, output = context.input(0), context.input(1), context.output
    first, second = _operands(context)
    batches = output.shape[:-2]
    depth = first.columns[0]
    # Of the largest differences of int8 values from a zero point.
    bound = depth * 255 * 255
    general, factor = factor_of(_multiplier(context), -bound, bound, output.zero_point)
    params: dict[str, object] = {
        "batches": (1,) * (_MAX_BATCH_DIMENSIONS - len(batches)) + batches,
        "batch_strides_1": _batch_strides(first.batches, first.rows[0] * first.columns[0]),
        "batch_strides_2": _batch_strides(second.batches, second.rows[0] * second.columns[0]),
        "rows": first.rows[0],
        "columns": second.columns[0],
        "depth": depth,
        "row_stride_1": first.rows[1],
        "depth_stride_1": first.columns[1],
        "depth_stride_2": second.rows[1],
        "column_stride_2": second.columns[1],
        "zero_point_1": left.zero_point,
        "zero_point_2": right.zero_point,
        "general": general,
        "factor": factor,
    }
    call = KernelCall(
        "tidepool_batch_matmul",
        "tidepool_batch_matmul_params",
        params,
        (left.index, right.index),
    )
    return Emission(
        kernel="batch_matmul",
        calls=(call,),
        constants=operand_arrays(context, 0, 1),
        macs=output.elements * depth,
        scratch_bytes=6 * 4 * -(-depth // 4),
    )


OP = Operation("BATCH_MATMUL", versions=3, inputs=(2, 2), check=_check, emit=_emit)

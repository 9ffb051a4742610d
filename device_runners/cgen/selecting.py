"""What SELECT and SELECT_V2 share: a choice between two operands by a third one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from converters.tflite.graph import Tensor, TensorType
from device_runners.cgen import checks
from device_runners.cgen.elementwise import (
    MAX_BROADCAST_DIMENSIONS,
    broadcast_shape,
    operand_arrays,
)
from device_runners.cgen.operation import (
    ConstantArray,
    Emission,
    KernelCall,
    OpContext,
    Operation,
)

_MAX_DIMENSIONS = 5  # of the reference


def _condition_shape(context: OpContext) -> tuple[int, ...]:
    """The condition's shape as it broadcasts: SELECT of a vector chooses whole rows."""
    condition, first = context.input(0).shape, context.input(1).shape
    if context.operator.opcode == "SELECT" and len(condition) == 1 and condition != first:
        return (*condition, *(1,) * (len(first) - 1))
    return condition


def _common(*shapes: Sequence[int]) -> tuple[int, ...] | None:
    common: tuple[int, ...] | None = ()
    for shape in shapes:
        common = None if common is None else broadcast_shape(common, shape)
    return common


def _check(context: OpContext) -> Iterator[str]:
    basics = list(checks.int8_activations(context, (1, 2)))
    condition = context.input(0)
    if condition.type is not TensorType.BOOL:
        basics.append(f"has a condition of type {condition.type}; BOOL is supported")
    yield from basics
    if basics:
        return
    for position in (1, 2):
        yield from checks.same_quantization(
            context.input(position), context.output, "operands and output"
        )
    shapes = [_condition_shape(context), context.input(1).shape, context.input(2).shape]
    common = _common(*shapes)
    if common is None or (context.operator.opcode == "SELECT" and common != shapes[1]):
        yield f"can't choose between {list(shapes[1])} and {list(shapes[2])} by {list(shapes[0])}"
    elif len(common) > _MAX_DIMENSIONS:
        yield f"chooses in {len(common)} dimensions; {_MAX_DIMENSIONS} are supported"
    else:
        yield from checks.output_shape(context, common)


def _strides(shape: Sequence[int], common: Sequence[int]) -> tuple[int, ...]:
    view = np.broadcast_to(np.zeros(shape, np.int8), common)
    return (0,) * (MAX_BROADCAST_DIMENSIONS - len(common)) + tuple(view.strides)


def _condition_array(condition: Tensor) -> tuple[ConstantArray, ...]:
    if condition.data is None:
        return ()
    values = condition.data.astype(np.int8)
    return (ConstantArray(f"t{condition.index}_data", "int8_t", values, condition.name),)


def _emit(context: OpContext) -> Emission:
    condition, first, second = (context.input(position) for position in range(3))
    common = context.output.shape
    params: dict[str, object] = {
        "sizes": (1,) * (MAX_BROADCAST_DIMENSIONS - len(common)) + common,
        "strides_condition": _strides(_condition_shape(context), common),
        "strides_1": _strides(first.shape, common),
        "strides_2": _strides(second.shape, common),
    }
    inputs = (condition.index, first.index, second.index)
    call = KernelCall("tidepool_select", "tidepool_select_params", params, inputs)
    whole = [t.index for t in (first, second) if t.elements == context.output.elements]
    return Emission(
        kernel="select",
        calls=(call,),
        constants=(*_condition_array(condition), *operand_arrays(context, 1, 2)),
        in_place=tuple(dict.fromkeys(whole)),
    )


def select_operation(opcode: str, versions: int) -> Operation:
    """SELECT or SELECT_V2."""
    return Operation(opcode, versions=versions, inputs=(3, 3), check=_check, emit=_emit)

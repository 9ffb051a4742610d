"""Operators that move values from places in tables: GATHER, MIRROR_PAD, RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.moves import MAX_DIMENSIONS
from device_runners.cgen.operation import (
    ConstantArray,
    Emission,
    KernelCall,
    OpContext,
    Symbol,
)


def take_emission(
    context: OpContext, offsets: Sequence[Sequence[int]], run: int, summary: str = ""
) -> Emission:
    """A call of ``tidepool_take``.

    Args:
        context: The operator; its first input is what is taken from.
        offsets: For each dimension of the output, outermost first, the offset in elements that
            each of its indices adds; at most seven dimensions.
        run: Elements that are copied at each place. The kernel counts both in bytes.
        summary: What the layer computes.
    """
    source = context.input(0)
    full = [[0]] * (MAX_DIMENSIONS - len(offsets)) + [list(table) for table in offsets]
    size = source.type.dtype.itemsize
    flat = np.array([offset * size for table in full for offset in table], np.int32)
    array = ConstantArray(context.name("offsets"), "int32_t", flat)
    params: dict[str, object] = {
        "sizes": tuple(len(table) for table in full),
        "run": run * size,
        "offsets": Symbol(array.name),
    }
    call = KernelCall("tidepool_take", "tidepool_take_params", params, (source.index,))
    return Emission("take", (call,), summary, (array, *operand_arrays(context, 0)))

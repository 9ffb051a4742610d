"""ABS: a table of 256 results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen.operation import OpContext
from device_runners.cgen.rescaling import RESCALE_SHIFT_LIMIT
from device_runners.cgen.tables import differences, table_operation


def _multiplier(context: OpContext) -> Multiplier | None:
    """input scale / output scale, divided in float32; None where nothing is rescaled."""
    source, output = np.float32(context.input(0).scale), np.float32(context.output.scale)
    return None if source == output else quantize_multiplier(float(source / output))


def _table(context: OpContext) -> Array:
    magnitudes = np.abs(differences(context))
    multiplier = _multiplier(context)
    if multiplier is not None:
        magnitudes = np.array([multiplier.apply(x) for x in magnitudes.tolist()])
    return magnitudes + context.output.zero_point


def _check(context: OpContext) -> Iterator[str]:
    multiplier = _multiplier(context)
    if multiplier is not None and multiplier.shift > RESCALE_SHIFT_LIMIT:
        yield f"scales by more than 2^{RESCALE_SHIFT_LIMIT}"


OP = table_operation("ABS", 2, _table, _check)

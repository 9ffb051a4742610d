"""LOG: a table of 256 results; what is not positive becomes the least value of the output."""

from __future__ import annotations

import numpy as np

from device_runners.cgen.operation import OpContext
from device_runners.cgen.requantization import INT8_MIN
from device_runners.cgen.tables import Reals, function_operation, in_double


def _log(context: OpContext, x: Reals) -> Reals:
    output = context.output
    least = np.float32(INT8_MIN - output.zero_point) * np.float32(output.scale)
    positive = x > 0
    logarithms = in_double(np.log, np.where(positive, x, np.float32(1)))
    return np.where(positive, logarithms, least).astype(np.float32)


OP = function_operation("LOG", 2, _log)

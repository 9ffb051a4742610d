"""ELU: a table of 256 results."""

from __future__ import annotations

import numpy as np

from device_runners.cgen.operation import OpContext
from device_runners.cgen.tables import Reals, function_operation, in_double


def _elu(context: OpContext, x: Reals) -> Reals:
    return np.where(x < 0, in_double(np.expm1, np.minimum(x, 0)), x).astype(np.float32)


OP = function_operation("ELU", 1, _elu)

"""EXP: a table of 256 results."""

from __future__ import annotations

import numpy as np

from device_runners.cgen.operation import OpContext
from device_runners.cgen.tables import Reals, function_operation, in_double


def _exp(context: OpContext, x: Reals) -> Reals:
    return in_double(np.exp, x)


OP = function_operation("EXP", 2, _exp)

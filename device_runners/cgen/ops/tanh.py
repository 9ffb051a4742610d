"""TANH: a table of 256 results."""

from __future__ import annotations

import numpy as np

from device_runners.cgen.int16 import with_int16
from device_runners.cgen.int16_functions import check_sigmoid, emit_sigmoid
from device_runners.cgen.operation import OpContext
from device_runners.cgen.tables import Reals, function_operation, in_double


def _tanh(context: OpContext, x: Reals) -> Reals:
    return in_double(np.tanh, x)


OP = with_int16(function_operation("TANH", 3, _tanh), check_sigmoid, emit_sigmoid)

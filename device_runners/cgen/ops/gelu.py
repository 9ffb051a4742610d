"""GELU, exact or approximated by tanh: a table of 256 results.

Formulas: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016; TFLite computes the exact one
by ``erfc``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from converters.tflite.graph import Array
from converters.tflite.options import GeluOptions
from device_runners.cgen import checks
from device_runners.cgen.operation import OpContext
from device_runners.cgen.tables import Reals, function_operation, in_double

_SQRT_HALF = np.float32(math.sqrt(0.5))
_SQRT_2_OVER_PI = np.float32(math.sqrt(2 / math.pi))


def _erfc(x: Array) -> Array:
    return np.array([math.erfc(value) for value in x])


def _gelu(context: OpContext, x: Reals) -> Reals:
    half = np.float32(0.5) * x
    options = context.operator.options
    if isinstance(options, GeluOptions) and options.approximate:
        cubic = x + np.float32(0.044715) * x * x * x
        factor = np.float32(1) + in_double(np.tanh, _SQRT_2_OVER_PI * cubic)
    else:
        factor = in_double(_erfc, x * -_SQRT_HALF)
    return np.asarray(half * factor, np.float32)


_TABLE = function_operation("GELU", 2, _gelu)


def _check(context: OpContext) -> Iterator[str]:
    yield from checks.options(context, GeluOptions)
    yield from _TABLE.check(context)


OP = replace(_TABLE, check=_check)

"""gelu is ``x * sigmoid(1.702 * x)``, nearly.

gelu is ``x * Phi(x)`` with the standard normal distribution function Phi, and ``sigmoid(1.702 *
x)`` is the logistic function nearest to that (Hendrycks and Gimpel, "Gaussian Error Linear Units",
section 2). TFLite's converter makes one GELU of both of Keras's variants, which the compiler
doesn't know.
"""

from __future__ import annotations

import math

import numpy as np

from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor

_SLOPE = 1.702


def _build(steps: Steps, x: Tensor) -> Tensor:
    gate = steps.sigmoid(steps.affine(x, _SLOPE))
    return steps.multiply(x, gate, last=True)


def _erf_variant(x: Array) -> Array:
    erf = np.vectorize(math.erf)
    return np.asarray(0.5 * x * (1.0 + erf(x / math.sqrt(2.0))))


def _tanh_variant(x: Array) -> Array:
    return np.asarray(0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))))


_ERF = Form(_build, _erf_variant, exact=False)
_TANH = Form(_build, _tanh_variant, exact=False)


def _match(site: Site) -> Form | None:
    function = site.named("gelu")
    if function is None:
        return None
    return _TANH if function["approximate"] else _ERF


GELU = Rewrite(
    name="gelu",
    replaces="gelu, exact and with tanh",
    formula="x * sigmoid(1.702 * x)",
    ops=("MUL", "LOGISTIC", "MUL"),
    match=_match,
    example=_ERF,
)

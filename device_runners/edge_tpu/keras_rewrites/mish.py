"""mish is x times a polynomial in ``p = sigmoid(x)``.

``mish(x) = x * tanh(softplus(x))`` (Misra, "Mish: A Self Regularized Non-Monotonic Activation
Function"). With ``exp(x) = p / (1 - p)`` the factor is ``p * (2 - p) / (1 + (1 - p)**2)``: smooth
in p, 0 at 0 and 1 at 1. The cubic here is 0 and 1 there too, so that the error vanishes for large
x of either sign; of these it has the least maximum error of the product (found by the Nelder-Mead
method).
"""

from __future__ import annotations

import numpy as np

from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor

LINEAR, QUADRATIC = 0.927922, 1.105473
CUBIC = 1.0 - LINEAR - QUADRATIC


def _build(steps: Steps, x: Tensor) -> Tensor:
    p = steps.sigmoid(x)
    inner = steps.multiply(p, steps.affine(p, CUBIC, QUADRATIC))
    return steps.multiply(steps.multiply(x, p), steps.affine(inner, 1.0, LINEAR), last=True)


def _mish(x: Array) -> Array:
    return np.asarray(x * np.tanh(np.logaddexp(0.0, x)))


_FORM = Form(_build, _mish, exact=False)


def _match(site: Site) -> Form | None:
    return _FORM if site.named("mish") else None


MISH = Rewrite(
    name="mish",
    replaces="mish",
    formula="(x * p) * (a + p * (b + c * p)), p = sigmoid(x), a + b + c = 1",
    ops=("LOGISTIC", "MUL", "ADD", "MUL", "ADD", "MUL", "MUL"),
    match=_match,
    example=_FORM,
)

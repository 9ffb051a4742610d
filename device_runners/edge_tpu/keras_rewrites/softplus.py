"""softplus is ``relu(x) + log(1 + exp(-|x|))``, the logarithm by sigmoid.

The identity is exact; the logarithm is the one of ``exponential.py``. ``-|x|`` is written as
``x - 2 * relu(x)``, since the ReLU is there anyway.
"""

from __future__ import annotations

import numpy as np

from device_runners.edge_tpu.keras_rewrites.exponential import log_one_plus_exp
from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor


def _build(steps: Steps, x: Tensor) -> Tensor:
    positive = steps.relu(x)
    minus_abs = steps.add(x, steps.affine(positive, -2.0))
    return steps.add(positive, log_one_plus_exp(steps, minus_abs, 1.0), last=True)


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


_FORM = Form(_build, _softplus, exact=False)


def _match(site: Site) -> Form | None:
    return _FORM if site.named("softplus") else None


SOFTPLUS = Rewrite(
    name="softplus",
    replaces="softplus",
    formula="relu(x) + p * (C * p + D), p = sigmoid(x - 2 * relu(x))",
    ops=("RELU", "MUL", "ADD", "LOGISTIC", "MUL", "ADD", "MUL", "ADD"),
    match=_match,
    example=_FORM,
)

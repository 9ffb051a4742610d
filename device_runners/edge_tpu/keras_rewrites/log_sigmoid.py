"""log_sigmoid is ``-softplus(-x)``: ``-log(1 + exp(-|x|)) - relu(-x)``.

The identity is exact; the logarithm is the one of ``exponential.py``. ``-|x|`` is written as
``-2 * relu(-x) - x``.
"""

from __future__ import annotations

import numpy as np

from device_runners.edge_tpu.keras_rewrites.exponential import log_one_plus_exp
from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor


def _build(steps: Steps, x: Tensor) -> Tensor:
    below = steps.relu(steps.affine(x, -1.0))
    minus_abs = steps.subtract(steps.affine(below, -2.0), x)
    return steps.subtract(log_one_plus_exp(steps, minus_abs, -1.0), below, last=True)


def _log_sigmoid(x: Array) -> Array:
    return np.asarray(-np.logaddexp(0.0, -x))


_FORM = Form(_build, _log_sigmoid, exact=False)


def _match(site: Site) -> Form | None:
    return _FORM if site.named("log_sigmoid") else None


LOG_SIGMOID = Rewrite(
    name="log_sigmoid",
    replaces="log_sigmoid",
    formula="-p * (C * p + D) - relu(-x), p = sigmoid(-2 * relu(-x) - x)",
    ops=("MUL", "MUL", "SUB", "LOGISTIC", "MUL", "ADD", "MUL", "SUB"),
    match=_match,
    example=_FORM,
)

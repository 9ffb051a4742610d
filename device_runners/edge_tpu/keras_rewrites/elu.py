"""elu, selu and celu: a ReLU minus a ReLU of ``1 - exp``, with exp by sigmoid.

All three are ``scale * relu(x) - height * relu(1 - exp(rate * x))``: elu with height alpha; celu
with height alpha and rate 1 / alpha; selu with its own scale and alpha (Klambauer et al.,
"Self-Normalizing Neural Networks"). exp is the one of ``exponential.py``.
"""

from __future__ import annotations

import numpy as np

from device_runners.edge_tpu.keras_rewrites.exponential import one_minus_exp
from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor

_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


def _form(scale: float, height: float, rate: float) -> Form:
    def build(steps: Steps, x: Tensor) -> Tensor:
        positive = steps.relu(x if scale == 1.0 else steps.affine(x, scale))
        negative = one_minus_exp(steps, x, height, rate)
        return steps.subtract(positive, negative, last=True)

    def reference(x: Array) -> Array:
        return np.where(x > 0, scale * x, height * np.expm1(rate * np.minimum(x, 0.0)))

    return Form(build, reference, exact=False)


def _match(site: Site) -> Form | None:
    if site.named("selu"):
        return _form(_SELU_SCALE, _SELU_SCALE * _SELU_ALPHA, 1.0)
    function = site.named("elu", "celu")
    # With an alpha below 0 the part below 0 is positive, which the ReLU would cut off.
    if function is None or function["alpha"] <= 0:
        return None
    alpha = float(function["alpha"])
    return _form(1.0, alpha, 1.0 / alpha if function.name == "celu" else 1.0)


ELU = Rewrite(
    name="elu",
    replaces="elu, celu, selu",
    formula=(
        "scale * relu(x) - height * relu(1 - p * (A * p^2 + B)), p = sigmoid(rate * x); the error "
        "is that of elu, times height"
    ),
    ops=("LOGISTIC", "MUL", "MUL", "ADD", "MUL", "ADD", "RELU", "SUB"),
    match=_match,
    example=_form(1.0, 1.0, 1.0),
)

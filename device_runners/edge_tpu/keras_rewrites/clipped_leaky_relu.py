"""ReLU with a slope and a maximum: two ReLUs, one of them of ``-x``.

``relu_max(x) - slope * relu(-x)``. Keras computes the same, but by a negation that has no int8
kernel; here ``-x`` is a product.
"""

from __future__ import annotations

import numpy as np

from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor


def _form(slope: float, maximum: float) -> Form:
    def build(steps: Steps, x: Tensor) -> Tensor:
        # slope * relu(-x) = relu(-slope * x) for a slope of at least 0.
        below = steps.relu(steps.affine(x, -slope))
        if maximum == 6.0:
            clipped = steps.relu6(x)
        else:
            clipped = steps.affine(steps.relu6(steps.affine(x, 6.0 / maximum)), maximum / 6.0)
        return steps.subtract(clipped, below, last=True)

    def reference(x: Array) -> Array:
        return np.where(x > 0, np.minimum(x, maximum), slope * x)

    return Form(build, reference, exact=True)


def _match(site: Site) -> Form | None:
    function = site.named("relu")
    if function is None or function["threshold"]:
        return None
    slope, maximum = function["negative_slope"], function["max_value"]
    if slope <= 0 or not maximum:
        return None
    return _form(float(slope), float(maximum))


CLIPPED_LEAKY_RELU = Rewrite(
    name="clipped_leaky_relu",
    replaces="ReLU(max_value, negative_slope)",
    formula="min(relu(x), maximum) - relu(-slope * x)",
    ops=("RELU6", "MUL", "SUB"),
    match=_match,
    example=_form(0.1, 6.0),
)

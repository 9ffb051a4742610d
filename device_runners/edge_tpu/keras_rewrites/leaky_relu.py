"""Leaky ReLU is a PReLU whose slopes are constant.

LEAKY_RELU stays on the CPU and PRELU maps: one operator for one. Its error in int8 is that of
LEAKY_RELU, while ``max(x, slope * x)`` is off by tens of LSB, since it clips x (see ``steps.py``).
Beside another activation of the same tensor, where the converter wouldn't make a PRELU of it, it
is ``relu(x) - relu(-slope * x)``.
"""

from __future__ import annotations

import numpy as np

from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor


def _form(slope: float, one_step: bool) -> Form:
    def build(steps: Steps, x: Tensor) -> Tensor:
        if one_step:
            return steps.prelu(x, slope, trainable=False, last=True)
        below = steps.relu(steps.affine(x, -abs(slope)))
        combine = steps.subtract if slope > 0 else steps.add
        return combine(steps.relu(x), below, last=True)

    def reference(x: Array) -> Array:
        return np.where(x > 0, x, slope * x)

    return Form(build, reference, exact=True)


def _match(site: Site) -> Form | None:
    function = site.named("leaky_relu", "relu")
    if function is None or not function["negative_slope"]:
        return None
    if function.name == "relu" and (function["max_value"] is not None or function["threshold"]):
        return None
    return _form(float(function["negative_slope"]), site.may_be_prelu)


LEAKY_RELU = Rewrite(
    name="leaky_relu",
    replaces="leaky_relu, LeakyReLU, ReLU(negative_slope)",
    formula="prelu(x), slopes constant",
    ops=("PRELU",),
    match=_match,
    example=_form(0.2, True),
)

"""soft_shrink is ``relu(x - threshold) - relu(-x - threshold)``.

Keras selects among three cases, and the Edge TPU has neither comparisons nor SELECT.
"""

from __future__ import annotations

import numpy as np

from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor


def _form(threshold: float) -> Form:
    def build(steps: Steps, x: Tensor) -> Tensor:
        above = steps.relu(steps.affine(x, 1.0, -threshold))
        below = steps.relu(steps.affine(x, -1.0, -threshold))
        return steps.subtract(above, below, last=True)

    def reference(x: Array) -> Array:
        return np.asarray(np.sign(x) * np.maximum(np.abs(x) - threshold, 0.0))

    return Form(build, reference, exact=True)


def _match(site: Site) -> Form | None:
    function = site.named("soft_shrink")
    if function is None or function["threshold"] < 0:
        return None
    return _form(float(function["threshold"]))


SOFT_SHRINK = Rewrite(
    name="soft_shrink",
    replaces="soft_shrink",
    formula="relu(x - threshold) - relu(-x - threshold)",
    ops=("ADD", "MUL", "ADD", "SUB"),
    match=_match,
    example=_form(0.5),
)

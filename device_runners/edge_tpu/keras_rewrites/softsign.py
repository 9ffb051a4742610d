"""softsign is ``(x * r) * r`` with ``r = 1 / sqrt(1 + |x|)``.

By definition ``x / (1 + |x|)``: the Edge TPU has no division, but RSQRT, whose square is the
reciprocal. ``|x|`` is ``relu(x) + relu(-x)``. TFLite's converter refuses a softsign.
"""

from __future__ import annotations

import numpy as np

from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor


def _build(steps: Steps, x: Tensor) -> Tensor:
    magnitude = steps.add(steps.relu(x), steps.relu(steps.affine(x, -1.0)))
    root = steps.rsqrt(steps.affine(magnitude, 1.0, 1.0))
    return steps.multiply(steps.multiply(x, root), root, last=True)


def _softsign(x: Array) -> Array:
    return np.asarray(x / (1.0 + np.abs(x)))


_FORM = Form(_build, _softsign, exact=True)


def _match(site: Site) -> Form | None:
    return _FORM if site.named("softsign") else None


SOFTSIGN = Rewrite(
    name="softsign",
    replaces="softsign",
    formula="(x * r) * r, r = rsqrt(1 + relu(x) + relu(-x))",
    ops=("RELU", "MUL", "ADD", "ADD", "RSQRT", "MUL", "MUL"),
    match=_match,
    example=_FORM,
)

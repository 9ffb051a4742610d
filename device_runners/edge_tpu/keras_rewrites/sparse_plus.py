"""sparse_plus and sparse_sigmoid, by a clipping at 0 and 6.

sparse_sigmoid is ``s = relu6(3 * x + 3) / 6``: 0 below -1, ``(x + 1) / 2``, and 1 above 1.
sparse_plus, its integral, is ``s**2 + relu(x - 1)``: 0 below -1, ``(x + 1)**2 / 4``, and x above 1.
Keras selects among the cases, and the Edge TPU has neither comparisons nor SELECT.
"""

from __future__ import annotations

import numpy as np

from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor


def _sigmoid(steps: Steps, x: Tensor, last: bool = True) -> Tensor:
    return steps.affine(steps.relu6(steps.affine(x, 3.0, 3.0)), 1.0 / 6.0, last=last)


def _plus(steps: Steps, x: Tensor) -> Tensor:
    gate = _sigmoid(steps, x, last=False)
    above = steps.relu(steps.affine(x, 1.0, -1.0))
    return steps.add(steps.multiply(gate, gate), above, last=True)


def _sparse_sigmoid(x: Array) -> Array:
    return np.clip((x + 1.0) / 2.0, 0.0, 1.0)


def _sparse_plus(x: Array) -> Array:
    return np.where(x < 1.0, np.maximum(x + 1.0, 0.0) ** 2 / 4.0, x)


_SIGMOID = Form(_sigmoid, _sparse_sigmoid, exact=True)
_PLUS = Form(_plus, _sparse_plus, exact=True)


def _match_sigmoid(site: Site) -> Form | None:
    return _SIGMOID if site.named("sparse_sigmoid") else None


def _match_plus(site: Site) -> Form | None:
    return _PLUS if site.named("sparse_plus") else None


SPARSE_SIGMOID = Rewrite(
    name="sparse_sigmoid",
    replaces="sparse_sigmoid",
    formula="relu6(3 * x + 3) / 6",
    ops=("MUL", "ADD", "MUL"),
    match=_match_sigmoid,
    example=_SIGMOID,
)

SPARSE_PLUS = Rewrite(
    name="sparse_plus",
    replaces="sparse_plus",
    formula="sparse_sigmoid(x)^2 + relu(x - 1)",
    ops=("MUL", "ADD", "MUL", "MUL", "ADD", "ADD"),
    match=_match_plus,
    example=_PLUS,
)

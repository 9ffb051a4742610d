"""squareplus is ``(x + v / sqrt(v)) / 2`` with ``v = x**2 + b``.

By definition ``(x + sqrt(x**2 + b)) / 2`` (Barron, "Squareplus: A Softplus-Like Algebraic
Rectifier"): the Edge TPU has RSQRT, but neither SQRT nor SQUARE.
"""

from __future__ import annotations

import numpy as np

from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor


def _form(b: float) -> Form:
    def build(steps: Steps, x: Tensor) -> Tensor:
        # Halved before the square: 4 * (v / 4) = v, and one product less behind the root.
        half = steps.affine(x, 0.5)
        square = steps.affine(steps.multiply(half, half), 1.0, b / 4.0)
        root = steps.multiply(square, steps.rsqrt(square))
        return steps.add(half, root, last=True)

    def reference(x: Array) -> Array:
        return np.asarray((x + np.sqrt(x * x + b)) / 2.0)

    return Form(build, reference, exact=True)


def _match(site: Site) -> Form | None:
    function = site.named("squareplus")
    if function is None or function["b"] <= 0:
        return None
    return _form(float(function["b"]))


SQUAREPLUS = Rewrite(
    name="squareplus",
    replaces="squareplus",
    formula="x / 2 + v * rsqrt(v), v = (x / 2)^2 + b / 4",
    ops=("MUL", "MUL", "ADD", "RSQRT", "MUL", "ADD"),
    match=_match,
    example=_form(4.0),
)

"""PReLU with a slope for each element: ``relu(x) - slope * relu(-x)``.

The Edge TPU has PRELU with one slope for each channel (``shared_axes=[1, 2]`` in Keras). Where the
slopes of a channel are equal anyway, as they are before training, that is what it becomes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from device_runners.edge_tpu.keras_rewrites.functions import is_keras
from device_runners.edge_tpu.keras_rewrites.rewrite import Array, Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor


def _form(slope: Any) -> Form:
    def build(steps: Steps, x: Tensor) -> Tensor:
        below = steps.relu(steps.affine(x, -1.0))
        return steps.subtract(steps.relu(x), steps.weighted(below, slope), last=True)

    def reference(x: Array) -> Array:
        return np.where(x > 0, x, slope * x)

    return Form(build, reference, exact=True)


def _shared_form(slope: Array) -> Form:
    def build(steps: Steps, x: Tensor) -> Tensor:
        return steps.prelu(x, slope, trainable=True, last=True)

    return Form(build, None, exact=True)


def _match(site: Site) -> Form | None:
    layer = site.node.operation
    if not is_keras(layer) or type(layer).__name__ != "PReLU":
        return None
    slope = np.asarray(layer.alpha)
    if all(size == 1 for size in slope.shape[:-1]):
        return None
    by_channel = slope.reshape(-1, slope.shape[-1])
    if site.may_be_prelu and (by_channel == by_channel[0]).all():
        return _shared_form(by_channel[0])
    return _form(slope)


PRELU = Rewrite(
    name="prelu",
    replaces="PReLU without shared_axes (where its slopes are equal: with shared_axes)",
    formula="relu(x) - slope * relu(-x)",
    ops=("RELU", "MUL", "MUL", "SUB"),
    match=_match,
    example=_form(np.full(1, 0.2)),
)

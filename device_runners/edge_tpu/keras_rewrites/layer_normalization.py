"""LayerNormalization and RMSNormalization over the last axis: means by convolution, and RSQRT.

With d = x - mean(x): ``(gamma * d) * rsqrt(mean(d**2) + epsilon) + beta`` (Ba et al., "Layer
Normalization"); with d = x and no beta (Zhang and Sennrich, "Root Mean Square Layer
Normalization"). The mean over the channels is a convolution with kernel size 1 and equal weights,
in the shape of x: int8 holds equal weights exactly, nothing is broadcast, and the number of
channels need not be a multiple of 4. Each mean takes channels squared bytes. gamma and beta become
constants.

Keras's own layer converts with a NEG that has no int8 kernel, or with a SQUARE.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from device_runners.edge_tpu.keras_rewrites.functions import is_keras
from device_runners.edge_tpu.keras_rewrites.rewrite import Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor

MAX_CHANNELS = 512
"""256 KiB for each mean: with more, they would take much of the Edge TPU's memory."""


def _form(gamma: Any, beta: Any, epsilon: float, centered: bool) -> Form:
    def build(steps: Steps, x: Tensor) -> Tensor:
        values = steps.subtract(x, steps.channel_mean(x)) if centered else x
        power = steps.channel_mean(steps.multiply(values, values), epsilon)
        scaled = steps.multiply(steps.affine(values, gamma), steps.rsqrt(power))
        return steps.affine(scaled, 1.0, beta, last=True)

    return Form(build, None, exact=True)


def _match(site: Site) -> Form | None:
    node, layer = site.node, site.node.operation
    if not is_keras(layer) or node.kind not in ("LayerNormalization", "RMSNormalization"):
        return None
    shape = node.inputs[0].shape
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    last = [axis % len(shape) for axis in axes] == [len(shape) - 1]
    if not last or len(shape) not in (2, 3, 4) or shape[-1] > MAX_CHANNELS:
        return None
    if node.kind == "RMSNormalization":
        return _form(np.asarray(layer.scale), 0.0, float(layer.epsilon), centered=False)
    if layer.rms_scaling:  # deprecated: it scales by the variance
        return None
    gamma = 1.0 if layer.gamma is None else np.asarray(layer.gamma)
    beta = 0.0 if layer.beta is None else np.asarray(layer.beta)
    return _form(gamma, beta, float(layer.epsilon), centered=True)


LAYER_NORMALIZATION = Rewrite(
    name="layer_normalization",
    replaces=(
        f"LayerNormalization and RMSNormalization over the last axis, up to {MAX_CHANNELS} channels"
    ),
    formula="(gamma * d) * rsqrt(mean(d^2) + epsilon) + beta, d = x - mean(x), mean by convolution",
    ops=("CONV_2D", "SUB", "MUL", "CONV_2D", "RSQRT", "MUL", "MUL", "ADD"),
    match=_match,
    example=_form(np.full(8, 1.5), np.full(8, 0.5), 1e-3, centered=True),
)

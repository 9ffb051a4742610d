"""What elu, selu, celu, softplus, log_sigmoid and mish have in common: exp and log by sigmoid.

TFLite writes them with EXP and LOG, which the compiler refuses, and which lose everything in int8
(an exponential of 8 is 2981, so that one LSB is 12).

For y <= 0 and ``p = sigmoid(y)``, 0 < p <= 1/2:

- ``exp(y) = p / (1 - p)``, nearly ``p * (A * p**2 + B)``;
- ``log(1 + exp(y)) = -log(1 - p)``, nearly ``p * (C * p + D)``.

The coefficients have the least maximum error over 0..1/2 (found by the Nelder-Mead method).
"""

from __future__ import annotations

from device_runners.edge_tpu.keras_rewrites.steps import Steps, Tensor

EXP_A, EXP_B = 3.58493, 1.09808
SOFTPLUS_C, SOFTPLUS_D = 0.912188, 0.922059


def one_minus_exp(steps: Steps, x: Tensor, height: float, rate: float) -> Tensor:
    """``height * relu(1 - exp(rate * x))``, nearly: 0 for x >= 0."""
    p = steps.sigmoid(x if rate == 1.0 else steps.affine(x, rate))
    factor = steps.affine(steps.multiply(p, p), -EXP_A * height, -EXP_B * height)
    return steps.relu(steps.affine(steps.multiply(p, factor), 1.0, height))


def log_one_plus_exp(steps: Steps, y: Tensor, sign: float) -> Tensor:
    """``sign * log(1 + exp(y))`` for y <= 0, nearly."""
    p = steps.sigmoid(y)
    return steps.multiply(p, steps.affine(p, sign * SOFTPLUS_C, sign * SOFTPLUS_D))

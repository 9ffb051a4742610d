"""The reference page of the activations on the Edge TPU, written from the rewrites themselves."""

from __future__ import annotations

from device_runners.edge_tpu.keras_rewrites.exponential import (
    EXP_A,
    EXP_B,
    SOFTPLUS_C,
    SOFTPLUS_D,
)
from device_runners.edge_tpu.keras_rewrites.mish import CUBIC, LINEAR, QUADRATIC
from device_runners.edge_tpu.keras_rewrites.registry import REWRITES
from device_runners.edge_tpu.keras_rewrites.rewrite import GRID, Form
from device_runners.edge_tpu.keras_rewrites.without_form import FUNCTIONS, LAYERS

MAPPED = (
    "glu",
    "hard_sigmoid",
    "hard_tanh",
    "linear",
    "relu",
    "relu6",
    "sigmoid",
    "silu (swish)",
    "softmax",
    "tanh",
    "tanh_shrink",
)
"""What converts to ops that map, without a rewrite."""


def activations_page() -> str:
    """``docs/edge_tpu_activations.md``: what becomes of each activation function."""
    lines = [
        "# Activations on the Edge TPU",
        "",
        "Many activation functions of Keras convert to ops that Edge TPU compiler 16.0 refuses or "
        "leaves on the CPU. Before quantization each of them is replaced by a form that maps "
        "entirely. Exact forms give the same in real arithmetic. The others are reported with "
        "their error, and the accuracy of the run decides.",
        "",
        "The maximum error is the largest absolute difference from the function, computed over "
        f"{GRID[0]:g} to {GRID[-1]:g}; it vanishes beyond.",
        "",
        "| function | form | maximum error | ops |",
        "| --- | --- | --- | --- |",
        *(
            f"| {rewrite.replaces} | `{rewrite.formula}` | {_error(rewrite.example)} | "
            f"{', '.join(rewrite.ops)} |"
            for rewrite in REWRITES
        ),
        "",
        f"A = {EXP_A:g}, B = {EXP_B:g}, C = {SOFTPLUS_C:g}, D = {SOFTPLUS_D:g}; of mish a = "
        f"{LINEAR:g}, b = {QUADRATIC:g}, c = {CUBIC:g}. A ReLU behind an ADD, MUL or SUB is fused "
        "into it, and affine factors take a MUL and an ADD.",
        "",
        "## Functions that map as they are",
        "",
        ", ".join(MAPPED) + ".",
        "",
        "## Functions and layers without a form",
        "",
        "| function or layer | why, and what to do |",
        "| --- | --- |",
        *(f"| {name} | {reason} |" for name, reason in (FUNCTIONS | LAYERS).items()),
    ]
    return "\n".join(lines) + "\n"


def _error(form: Form) -> str:
    return "exact" if form.exact else f"{form.max_error:.4f}"

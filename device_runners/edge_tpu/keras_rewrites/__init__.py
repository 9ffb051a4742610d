"""Rewrites of a float Keras model, before quantization, that make its activations map.

    rewritten = rewrite_model(model)
    rewritten.model      # the same weights, other layers
    rewritten.applied    # what was replaced, and how large the error is
    rewritten.left       # what has no form

One rewrite a file; ``registry.py`` has them in order. Keras is imported when one is applied.
"""

from device_runners.edge_tpu.keras_rewrites.apply import (
    Applied,
    Left,
    RewrittenModel,
    rewrite_model,
)
from device_runners.edge_tpu.keras_rewrites.page import activations_page
from device_runners.edge_tpu.keras_rewrites.registry import REWRITES
from device_runners.edge_tpu.keras_rewrites.rewrite import Form, Rewrite

__all__ = [
    "REWRITES",
    "Applied",
    "Form",
    "Left",
    "Rewrite",
    "RewrittenModel",
    "activations_page",
    "rewrite_model",
]

"""What the Edge TPU has no ops for and no rewrite replaces, and what to do about it."""

from __future__ import annotations

from typing import Any

from device_runners.edge_tpu.keras_rewrites.functions import function_of, inner_activation, is_keras
from device_runners.edge_tpu.keras_rewrites.layer_normalization import MAX_CHANNELS
from device_runners.edge_tpu.keras_rewrites.recurrent import MAX_STEPS

_ON_THE_HOST = "end the model before it and compute it on the host"
_JUMPS = "its value jumps, and the Edge TPU has no comparison"
_TWO_ACTIVATIONS = "it multiplies activations by each other as matrices (BATCH_MATMUL)"

FUNCTIONS: dict[str, str] = {
    "exponential": f"its range doesn't fit in 8 bits: {_ON_THE_HOST}, or use softplus",
    "log_softmax": f"8 bits don't hold it: use softmax or the logits, or {_ON_THE_HOST}",
    "hard_shrink": f"{_JUMPS}: use soft_shrink",
    "threshold": f"{_JUMPS}: use relu",
    "sparsemax": f"it sorts: use softmax, or {_ON_THE_HOST}",
    "relu": f"with a threshold {_JUMPS}: use relu(x - threshold)",
    "elu": "with an alpha below 0 it has no form: use an alpha above 0",
    "celu": "with an alpha below 0 it has no form: use an alpha above 0",
    "soft_shrink": "with a threshold below 0 it has no form",
    "squareplus": "with a b of 0 or less it has no form: use relu",
}
"""By the name in ``keras.activations``, of those that convert to ops which don't map."""

LAYERS: dict[str, str] = {
    **dict.fromkeys(
        ("AdditiveAttention", "Attention", "GroupQueryAttention", "MultiHeadAttention"),
        f"{_TWO_ACTIVATIONS}: use convolutions, or dense layers with constant weights",
    ),
    **dict.fromkeys(
        ("GroupNormalization", "UnitNormalization"),
        "it has no form: use BatchNormalization, which goes into the convolution before it",
    ),
    **dict.fromkeys(
        ("LSTM", "GRU", "SimpleRNN"),
        "it has a form with the usual activations, without a mask, without a state given or "
        f"returned, and for up to {MAX_STEPS} time steps",
    ),
    **dict.fromkeys(
        ("Bidirectional", "ConvLSTM2D", "RNN"),
        "its loop crashes the converter: use LSTM or GRU layers, one of them with go_backwards",
    ),
    **dict.fromkeys(
        ("LayerNormalization", "RMSNormalization"),
        f"it has a form over the last axis only, up to {MAX_CHANNELS} channels: use "
        "BatchNormalization",
    ),
}
"""By the name of the layer's class."""


def reason_without_form(operation: Any, linear: bool) -> tuple[str, str] | None:
    """The name and the reason of a call that no rewrite replaces; None if it maps.

    Args:
        operation: A Keras layer or operation that no rewrite matches.
        linear: Whether the layer's activation was taken out of it.
    """
    kind = type(operation).__name__
    if is_keras(operation) and kind in LAYERS:
        return kind, LAYERS[kind]
    inner = None if linear else inner_activation(operation)
    function = function_of(operation if inner is None else inner)
    if function is None or function.name not in FUNCTIONS:
        return None
    if function.name == "relu" and not function["threshold"]:
        return None
    return function.name, FUNCTIONS[function.name]

"""All rewrites, in the order in which they are asked."""

from __future__ import annotations

from device_runners.edge_tpu.keras_rewrites.clipped_leaky_relu import CLIPPED_LEAKY_RELU
from device_runners.edge_tpu.keras_rewrites.elu import ELU
from device_runners.edge_tpu.keras_rewrites.gelu import GELU
from device_runners.edge_tpu.keras_rewrites.hard_silu import HARD_SILU
from device_runners.edge_tpu.keras_rewrites.layer_normalization import LAYER_NORMALIZATION
from device_runners.edge_tpu.keras_rewrites.leaky_relu import LEAKY_RELU
from device_runners.edge_tpu.keras_rewrites.log_sigmoid import LOG_SIGMOID
from device_runners.edge_tpu.keras_rewrites.mish import MISH
from device_runners.edge_tpu.keras_rewrites.prelu import PRELU
from device_runners.edge_tpu.keras_rewrites.recurrent import RECURRENT
from device_runners.edge_tpu.keras_rewrites.rewrite import Rewrite
from device_runners.edge_tpu.keras_rewrites.soft_shrink import SOFT_SHRINK
from device_runners.edge_tpu.keras_rewrites.softplus import SOFTPLUS
from device_runners.edge_tpu.keras_rewrites.softsign import SOFTSIGN
from device_runners.edge_tpu.keras_rewrites.sparse_plus import SPARSE_PLUS, SPARSE_SIGMOID
from device_runners.edge_tpu.keras_rewrites.squareplus import SQUAREPLUS

REWRITES: tuple[Rewrite, ...] = (
    GELU,
    LEAKY_RELU,
    CLIPPED_LEAKY_RELU,
    PRELU,
    HARD_SILU,
    ELU,
    SOFTPLUS,
    LOG_SIGMOID,
    MISH,
    SOFTSIGN,
    SQUAREPLUS,
    SOFT_SHRINK,
    SPARSE_SIGMOID,
    SPARSE_PLUS,
    LAYER_NORMALIZATION,
    RECURRENT,
)

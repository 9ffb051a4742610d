"""What each operation is to quantization, as one table by the name of its class.

Keras's layers and ``keras.ops`` share most names (``Add``, ``Reshape``); where they do, they mean
the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from converters.qat.network import Node


class Kind(StrEnum):
    """How an operation's output gets its range."""

    KERNEL = "kernel"
    """It has a kernel to round; the output has a range of its own."""
    AFFINE = "affine"
    """A factor and an offset for each channel."""
    COMPUTE = "compute"
    """The output has a range of its own."""
    SAME_SCALE = "same scale"
    """Inputs and outputs must have one scale in TFLite: they share one range."""
    FIXED = "fixed"
    """The operation gives the range."""


@dataclass(frozen=True)
class Role:
    """The role of an operation.

    Attributes:
        kind: See ``Kind``.
        fixed: The range that a ``FIXED`` operation gives.
        never_negative: Whether the output is at least 0.
        fuses: Whether TFLite can fuse a ReLU that follows.
        fusable: Whether TFLite can fuse this into the operation before.
    """

    kind: Kind
    fixed: tuple[float, float] | None = None
    never_negative: bool = False
    fuses: bool = False
    fusable: bool = False


_KERNEL = Role(Kind.KERNEL, fuses=True)
_AFFINE = Role(Kind.AFFINE, fuses=True)
_SAME = Role(Kind.SAME_SCALE)
_ARITHMETIC = Role(Kind.COMPUTE, fuses=True)
_COMPUTE = Role(Kind.COMPUTE)
_RELU = Role(Kind.COMPUTE, never_negative=True, fusable=True)
_UNIT = Role(Kind.FIXED, fixed=(0.0, 255 / 256))

ROLES: dict[str, Role] = {
    **dict.fromkeys(
        ("Conv1D", "Conv2D", "Conv2DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "Dense"),
        _KERNEL,
    ),
    **dict.fromkeys(("BatchNormalization", "Rescaling", "Normalization"), _AFFINE),
    **dict.fromkeys(("Add", "Subtract", "Multiply"), _ARITHMETIC),
    **dict.fromkeys(
        [
            "MaxPooling1D",
            "MaxPooling2D",
            "AveragePooling1D",
            "AveragePooling2D",
            "GlobalMaxPooling1D",
            "GlobalMaxPooling2D",
            "Flatten",
            "Reshape",
            "Permute",
            "ZeroPadding1D",
            "ZeroPadding2D",
            "Cropping1D",
            "Cropping2D",
            "UpSampling1D",
            "UpSampling2D",
            "Concatenate",
            "RepeatVector",
            "Transpose",
            "ExpandDims",
            "Squeeze",
            "Max",
            "GetItem",
            "Maximum",
            "Minimum",
        ],
        _SAME,
    ),
    **dict.fromkeys(
        [
            "Dropout",
            "SpatialDropout1D",
            "SpatialDropout2D",
            "GaussianNoise",
            "GaussianDropout",
            "AlphaDropout",
            "ActivityRegularization",
            "Identity",
        ],
        _SAME,
    ),
    **dict.fromkeys(("GlobalAveragePooling1D", "GlobalAveragePooling2D", "Mean"), _COMPUTE),
    **dict.fromkeys(("LeakyReLU", "PReLU"), _COMPUTE),
    "ReLU": _RELU,
}

ACTIVATION_ROLES: dict[str, Role] = {
    "sigmoid": _UNIT,
    "softmax": _UNIT,
    "tanh": Role(Kind.FIXED, fixed=(-1.0, 127 / 128)),
    "hard_silu": _COMPUTE,
    "gelu": _COMPUTE,
}
"""By the name of the function of a ``keras.layers.Activation``."""


def role_of(node: Node) -> Role | None:
    """The role of a node; None for an operation that this library doesn't know."""
    if node.kind == "Activation":
        return ACTIVATION_ROLES.get(node.operation.activation.__name__)
    module = type(node.operation).__module__
    if not module.startswith("keras."):
        # A user's own subclass may do anything in its call.
        return None
    if node.kind == "ReLU" and node.operation.max_value not in (None, 6.0):
        bound = float(node.operation.max_value)
        return Role(Kind.FIXED, (0.0, bound), never_negative=True, fusable=True)
    return ROLES.get(node.kind)

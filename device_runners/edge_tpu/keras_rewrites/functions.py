"""Which activation function a layer, an operation or a function of Keras is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_PARAMETERS: dict[str, dict[str, Any]] = {
    "celu": {"alpha": 1.0},
    "elu": {"alpha": 1.0},
    "exponential": {},
    "gelu": {"approximate": False},
    "hard_shrink": {},
    "hard_sigmoid": {},
    "hard_silu": {},
    "leaky_relu": {"negative_slope": 0.2},
    "log_sigmoid": {},
    "log_softmax": {},
    "mish": {},
    "relu": {"negative_slope": 0.0, "max_value": None, "threshold": 0.0},
    "selu": {},
    "soft_shrink": {"threshold": 0.5},
    "softplus": {},
    "softsign": {},
    "sparse_plus": {},
    "sparse_sigmoid": {},
    "sparsemax": {},
    "squareplus": {"b": 4},
    "threshold": {},
}
"""Functions of ``keras.activations`` by name, with the defaults of their parameters."""

_CLASSES = {
    "Celu": "celu",
    "ELU": "elu",
    "Elu": "elu",
    "Exp": "exponential",
    "Gelu": "gelu",
    "HardShrink": "hard_shrink",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "LeakyReLU": "leaky_relu",
    "LeakyRelu": "leaky_relu",
    "LogSigmoid": "log_sigmoid",
    "LogSoftmax": "log_softmax",
    "Mish": "mish",
    "ReLU": "relu",
    "Relu": "relu",
    "Selu": "selu",
    "SoftShrink": "soft_shrink",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "SparsePlus": "sparse_plus",
    "SparseSigmoid": "sparse_sigmoid",
    "Sparsemax": "sparsemax",
    "Squareplus": "squareplus",
    "Threshold": "threshold",
}
"""Keras's layers and operations, which have the parameters as attributes."""

_WITH_ACTIVATION = frozenset(
    [
        "Conv1D",
        "Conv1DTranspose",
        "Conv2D",
        "Conv2DTranspose",
        "Dense",
        "DepthwiseConv1D",
        "DepthwiseConv2D",
        "EinsumDense",
        "SeparableConv1D",
        "SeparableConv2D",
    ]
)
"""Layers whose last step is the function in their ``activation``."""


@dataclass(frozen=True)
class Function:
    """An activation function of Keras.

    Attributes:
        name: Its name in ``keras.activations``.
        parameters: Their values.
    """

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, parameter: str) -> Any:
        return self.parameters[parameter]


def is_keras(operation: Any) -> bool:
    """Whether it is of a class of Keras's own: a user's subclass may do anything."""
    return type(operation).__module__.split(".")[0] == "keras"


def is_keras_function(function: Any) -> bool:
    """Whether it is a function of Keras's own, or one of its classes."""
    return str(getattr(function, "__module__", "")).split(".")[0] == "keras"


def function_of(operation: Any) -> Function | None:
    """The function that a layer or operation computes; None for one that isn't known.

    Args:
        operation: A Keras layer or operation, or a function of ``keras.activations``. A user's own
            function isn't known, whatever its name.
    """
    import keras

    if not is_keras(operation):
        # Not by name: a function of the same name may be the user's own.
        for name, parameters in _PARAMETERS.items():
            if operation is getattr(keras.activations, name, None):
                return Function(name, parameters)
        return None
    kind = type(operation).__name__
    if kind == "Activation":
        return function_of(operation.activation)
    if kind not in _CLASSES:
        return None
    name = _CLASSES[kind]
    defaults = _PARAMETERS[name]
    return Function(name, {key: getattr(operation, key, defaults[key]) for key in defaults})


def inner_activation(operation: Any) -> Any:
    """The function or layer that a convolution or Dense applies to its result, or None."""
    if is_keras(operation) and type(operation).__name__ in _WITH_ACTIVATION:
        return operation.activation
    return None

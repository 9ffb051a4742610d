"""Schemes: which grids a target wants, as data.

int8         TFLite's specification: per-channel weights, per-tensor activations
edge_tpu     the same with per-tensor Dense weights, as the Edge TPU compiler needs them
int8_int16   int8 weights, 16-bit symmetric activations
int4         weights of 4 bits, packed in the file; activations of 8

With ``int4`` Dense has one scale: TFLM refuses a FULLY_CONNECTED of 4 bits with several. Depthwise
and transposed kernels keep 8 bits: not every runtime unpacks them, and depthwise kernels are small
and the first to suffer.
"""

from __future__ import annotations

from dataclasses import dataclass

from converters.errors import TidepoolError
from converters.qat.quantizer import Quantizer
from converters.qat.quantizers import (
    AllValuesQuantizer,
    FixedRangeQuantizer,
    LastValueQuantizer,
    MovingAverageQuantizer,
)

_PACKED = ("Conv1D", "Conv2D", "Dense")
"""Layers whose 4-bit kernels are packed in the file."""


@dataclass(frozen=True)
class Scheme:
    """The grids of a target.

    Attributes:
        name: Its name.
        weight_bits: Width of the weights.
        activation_bits: Width of the activations: 8, or 16 (symmetric).
        per_channel: Whether kernels of convolutions have a scale for each output channel.
        per_channel_dense: The same for Dense.
        decay: Of the moving average of the activations' ranges.
        delay: Steps of training before activations are rounded.
    """

    name: str
    weight_bits: int = 8
    activation_bits: int = 8
    per_channel: bool = True
    per_channel_dense: bool = True
    decay: float = 0.999
    delay: int = 0

    def __post_init__(self) -> None:
        if self.activation_bits not in (8, 16) or not 2 <= self.weight_bits <= 8:
            raise TidepoolError(
                f"scheme '{self.name}' has {self.weight_bits}-bit weights and "
                f"{self.activation_bits}-bit activations",
                hint="weights have 2 to 8 bits (4 are packed in the file), activations 8 or 16",
            )
        if self.activation_bits == 16 and self.weight_bits != 8:
            raise TidepoolError(
                f"scheme '{self.name}' has 16-bit activations with {self.weight_bits}-bit weights",
                hint="TFLite's 16-bit kernels take weights of 8 bits",
            )

    def weights(self, kind: str) -> Quantizer:
        """The quantizer of a kernel: ``+-max|w|``, without the least integer.

        Args:
            kind: The class of Keras's layer, ``Conv2D`` for example.
        """
        per_axis = self.per_channel_dense if kind == "Dense" else self.per_channel
        bits = self.weight_bits if kind in _PACKED else max(self.weight_bits, 8)
        return LastValueQuantizer(bits, per_axis=per_axis, symmetric=True, narrow_range=True)

    def activations(self, *, never_negative: bool = False) -> Quantizer:
        """The quantizer of what an operation computes.

        After a ReLU the range starts at 0: half of the grid would be lost to values that the
        slow average only forgets after thousands of steps.
        """
        wide = self.activation_bits > 8
        return MovingAverageQuantizer(
            self.activation_bits,
            symmetric=wide,
            narrow_range=wide,
            decay=self.decay,
            initial_min=0.0 if never_negative and not wide else -6.0,
            delay=self.delay,
        )

    def inputs(self) -> Quantizer:
        """The quantizer of an input of the model: everything it was ever given."""
        wide = self.activation_bits > 8
        return AllValuesQuantizer(self.activation_bits, symmetric=wide, narrow_range=wide)

    def fixed(self, minimum: float, maximum: float) -> Quantizer:
        """A range that the operation gives, as with 8 bits."""
        return FixedRangeQuantizer(self.activation_bits, minimum, maximum)


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("int8"),
        Scheme("edge_tpu", per_channel_dense=False),
        Scheme("int8_int16", activation_bits=16),
        Scheme("int4", weight_bits=4, per_channel_dense=False),
    )
}


def get_scheme(scheme: str | Scheme) -> Scheme:
    """A scheme by its name, or itself.

    Raises:
        TidepoolError: There is none of this name.
    """
    if isinstance(scheme, Scheme):
        return scheme
    if scheme not in SCHEMES:
        raise TidepoolError(
            f"there is no quantization scheme '{scheme}'", hint=f"use one of {', '.join(SCHEMES)}"
        )
    return SCHEMES[scheme]

"""Where the output channels are in a kernel: Keras's layouts, the quantizers' and TFLite's.

Quantizers see every kernel with its output channels last; TFLite stores them first (depthwise:
last, with a leading 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.tflite.graph import Array


@dataclass(frozen=True)
class KernelLayout:
    """The layout of one kind of kernel.

    Attributes:
        order: Permutation that puts the output channels last; None where they are.
        depthwise: Whether the last two axes (channels, multiplier) together are the channels.
        stored: Permutation from channels last to TFLite's layout, after ``expanded``.
        axis: TFLite's axis of the scales.
        expanded: Axis at which a 1 is put in for TFLite's 2-D kernels; None for none.
    """

    stored: tuple[int, ...]
    axis: int = 0
    order: tuple[int, ...] | None = None
    depthwise: bool = False
    expanded: int | None = None

    def channels_last(self, kernel: Any) -> Any:
        """A kernel (tensor) as its quantizer sees it; depthwise: ``(taps, channels)``.

        The depthwise kernel becomes a matrix, so that every channel with every multiplier has a
        scale of its own.
        """
        import tensorflow as tf

        if self.depthwise:
            return tf.reshape(kernel, (-1, kernel.shape[-2] * kernel.shape[-1]))
        return kernel if self.order is None else tf.transpose(kernel, self.order)

    def restored(self, values: Any, shape: tuple[int, ...]) -> Any:
        """The inverse of ``channels_last``, to Keras's kernel of that shape."""
        import tensorflow as tf

        if self.depthwise:
            return tf.reshape(values, shape)
        if self.order is None:
            return values
        return tf.transpose(values, tuple(int(i) for i in np.argsort(self.order)))

    def to_tflite(self, values: Array, shape: tuple[int, ...]) -> Array:
        """Integers (channels last) in the shape that TFLite stores them in."""
        if self.depthwise:
            spatial = shape[:-2] if len(shape) == 4 else (1, *shape[:-2])
            return values.reshape(1, *spatial, values.shape[-1])
        if self.expanded is not None:
            values = np.expand_dims(values, self.expanded)
        return np.ascontiguousarray(values.transpose(self.stored))


_CONV = KernelLayout(stored=(3, 0, 1, 2))
_DEPTHWISE = KernelLayout(stored=(), axis=3, depthwise=True)
LAYOUTS = {
    "Conv1D": KernelLayout(stored=(3, 0, 1, 2), expanded=0),
    "Conv2D": _CONV,
    # (height, width, out, in) in Keras
    "Conv2DTranspose": KernelLayout(stored=(3, 0, 1, 2), order=(0, 1, 3, 2)),
    "DepthwiseConv1D": _DEPTHWISE,
    "DepthwiseConv2D": _DEPTHWISE,
    "Dense": KernelLayout(stored=(1, 0)),
}
"""By the class of Keras's layer: every layer whose kernel is quantized."""


def layout_of(layer: Any) -> KernelLayout | None:
    """The layout of a layer's kernel; None for a layer without one that is known.

    A subclass has the layout of its base.
    """
    for base in type(layer).__mro__:
        if base.__name__ in LAYOUTS and base.__module__.startswith("keras."):
            return LAYOUTS[base.__name__]
    return None

"""RELU6 as an operator of its own: a change of scale and a clamp."""

from __future__ import annotations

from converters.tflite.graph import Activation
from device_runners.cgen.elementwise import activation_operation

OP = activation_operation("RELU6", Activation.RELU6)

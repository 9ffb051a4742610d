"""RELU as an operator of its own: a change of scale and a clamp."""

from __future__ import annotations

from converters.tflite.graph import Activation
from device_runners.cgen.int16_elementwise import activation_with_int16

OP = activation_with_int16("RELU", Activation.RELU)

"""RELU_N1_TO_1 as an operator of its own: a change of scale and a clamp."""

from __future__ import annotations

from dataclasses import replace

from converters.tflite.graph import Activation
from device_runners.cgen.rescaling import activation_operation

OP = replace(activation_operation("RELU_N1_TO_1", Activation.RELU_N1_TO_1), versions=1)

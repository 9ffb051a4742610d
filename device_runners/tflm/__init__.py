"""Sources for TensorFlow Lite Micro: the model as a C array, its settings, its op resolver."""

from device_runners.tflm.runner import build, check, run

__all__ = ["build", "check", "run"]

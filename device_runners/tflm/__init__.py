"""Sources for TensorFlow Lite Micro: the model as a C array, its settings, its op resolver."""

from device_runners.tflm.arena import MeasuredArena
from device_runners.tflm.compression import Compression, compress
from device_runners.tflm.runner import build, check, run, set_arena

__all__ = ["Compression", "MeasuredArena", "build", "check", "compress", "run", "set_arena"]

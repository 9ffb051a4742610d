"""Interpreters on this machine: LiteRT's reference kernels (the oracle) and TFLM."""

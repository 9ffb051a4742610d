"""TFLite: conversion, verification, and the graph that every other package works on."""

from converters.tflite.graph import (
    Activation,
    Graph,
    Operator,
    Padding,
    Quantization,
    Tensor,
    TensorType,
)
from converters.tflite.reader import read_graph
from converters.tflite.writer import write_graph

__all__ = [
    "Activation",
    "Graph",
    "Operator",
    "Padding",
    "Quantization",
    "Tensor",
    "TensorType",
    "read_graph",
    "write_graph",
]

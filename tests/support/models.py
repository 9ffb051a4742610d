"""Int8 models of graphs that a test makes by hand."""

from __future__ import annotations

from converters.naming import c_identifier
from converters.tflite import Graph, write_graph
from device_runners.runner import Int8Model


def int8_model(graph: Graph, name: str = "") -> Int8Model:
    """The model of a graph, called after the graph unless told."""
    return Int8Model(c_identifier(name or graph.name), write_graph(graph), graph)

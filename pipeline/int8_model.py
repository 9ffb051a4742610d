"""The int8 model of a run."""

from __future__ import annotations

from dataclasses import dataclass

from converters.tflite import Graph


@dataclass(frozen=True, eq=False)
class Int8Model:
    """A full-integer model, ready for a device.

    Attributes:
        name: Its name, a C identifier.
        content: The TFLite file's content.
        graph: Its graph.
    """

    name: str
    content: bytes
    graph: Graph

"""Smaller weights for TFLM: clustered, which loses, and stored as lookup tables, which doesn't."""

from __future__ import annotations

from dataclasses import dataclass

from converters.tflite import write_graph
from converters.tflite.cluster import cluster_weights
from device_runners import tflm
from device_runners.runner import Int8Model
from pipeline.listener import Listener


@dataclass(frozen=True)
class ClusteringReport:
    """What clustering did to the weights.

    Attributes:
        bits: Every channel has at most ``2 ** bits`` values.
        tensors: How many tensors changed.
        worst_error: The largest change of a weight, in steps of its scale.
        mean_error: The mean change over all weights of these tensors, likewise.
    """

    bits: int
    tensors: int
    worst_error: int
    mean_error: float


@dataclass(frozen=True)
class CompressionReport:
    """What storing weights as lookup tables saved of the flatbuffer.

    The runtime takes some of it back: the decoder's code in flash, and the arena in RAM, where the
    largest tensor that is stored so is unpacked at each inference.

    Attributes:
        tensors: How many tensors are stored so.
        bytes_before: The model's file as it was.
        bytes_after: The file that TFLM gets.
    """

    tensors: int
    bytes_before: int
    bytes_after: int


def cluster(model: Int8Model, bits: int, listener: Listener) -> tuple[Int8Model, ClusteringReport]:
    """Clusters the weights of a model. What comes out has to pass the accuracy gate again.

    Raises:
        TidepoolError: ``bits`` is out of range.
    """
    with listener.stage(f"clustering weights to {bits} bits"):
        found = cluster_weights(model.graph, bits)
    report = ClusteringReport(bits, len(found.changed), found.worst_error, found.mean_error)
    return Int8Model(model.name, write_graph(found.graph), found.graph), report


def compress(model: Int8Model, listener: Listener) -> tuple[Int8Model, CompressionReport]:
    """Stores weights as lookup tables, for ``build_tflm``; only TFLM runs what comes out.

    Raises:
        TidepoolError: No weights get smaller by it, or the wheel's tool is missing.
    """
    with listener.stage("storing weights as lookup tables"):
        found = tflm.compress(model)
    report = CompressionReport(len(found.tensors), found.bytes_before, found.bytes_after)
    return found.model, report

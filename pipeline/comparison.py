"""Compares what a device computed with the reference, and names the first difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.progress import Progress
from converters.tflite import Graph, Tensor
from converters.tflite.graph import Array
from device_runners.host.oracle import Oracle
from pipeline.report import MismatchReport


def compare_outputs(
    model: bytes,
    graph: Graph,
    samples: Sequence[Sequence[Array]],
    outputs: Sequence[Sequence[Array]],
    progress: Progress,
) -> MismatchReport | None:
    """Compares every output byte of every sample.

    Returns:
        The first difference, or None when there is none.
    """
    oracle = Oracle(model)
    for number, (sample, results) in enumerate(zip(samples, outputs, strict=True)):
        expected = oracle.run(sample)
        for tensor, ours, theirs in zip(graph.output_tensors, results, expected, strict=True):
            mismatch = _compare(graph, number, tensor, ours, theirs)
            if mismatch is not None:
                return mismatch
        progress(number + 1, len(samples))
    return None


def compare_tensors(
    model: bytes,
    graph: Graph,
    samples: Sequence[Sequence[Array]],
    trace: Mapping[tuple[int, int], bytes],
    progress: Progress,
) -> MismatchReport | None:
    """Compares every tensor that an operator computed, in the order of execution.

    Args:
        model: The int8 model's file content.
        graph: Its graph.
        samples: The samples that ran.
        trace: The bytes of each tensor by (sample, tensor index).
        progress: Called with the samples done and the samples in total.

    Returns:
        The first tensor that differs, or None. A tensor that is missing in the trace counts as
        different in every byte.
    """
    oracle = Oracle(model, all_tensors=True)
    for number, sample in enumerate(samples):
        oracle.run(sample)
        for op in graph.operators:
            for tensor in graph.outputs_of(op):
                expected = oracle.tensor(tensor.index)
                raw = trace.get((number, tensor.index), b"")
                ours = np.frombuffer(raw, expected.dtype)
                mismatch = _compare(graph, number, tensor, ours, expected)
                if mismatch is not None:
                    return mismatch
        progress(number + 1, len(samples))
    return None


def _compare(
    graph: Graph, sample: int, tensor: Tensor, ours: Array, theirs: Array
) -> MismatchReport | None:
    ours, theirs = ours.ravel(), theirs.ravel()
    if ours.size == theirs.size:
        differing = int(np.count_nonzero(ours != theirs))
        if differing == 0:
            return None
        worst = int(np.abs(ours.astype(np.int64) - theirs.astype(np.int64)).max())
    else:
        differing, worst = theirs.size, 0
    producer = graph.producer(tensor.index)
    return MismatchReport(
        sample=sample,
        tensor=tensor.index,
        tensor_name=tensor.name,
        opcode="INPUT" if producer is None else producer.opcode,
        differing_elements=differing,
        total_elements=theirs.size,
        worst_difference=worst,
    )

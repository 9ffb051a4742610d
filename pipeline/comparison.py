"""Compares what a device computed with the reference, and names the first difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.progress import Progress
from converters.tflite import Graph, Tensor
from converters.tflite.graph import Array
from device_runners.host.oracle import Oracle
from pipeline.report import MismatchReport


def reference_outputs(
    model: bytes, samples: Sequence[Sequence[Array]], progress: Progress
) -> list[list[Array]]:
    """The reference interpreter's outputs: for each sample one array an output."""
    oracle = Oracle(model)
    outputs = []
    for number, sample in enumerate(samples, start=1):
        outputs.append(oracle.run(sample))
        progress(number, len(samples))
    return outputs


def compare_outputs(
    graph: Graph, expected: Sequence[Sequence[Array]], actual: Sequence[Sequence[Array]]
) -> MismatchReport | None:
    """Compares every output byte of every sample.

    Returns:
        The first difference, or None when there is none.
    """
    for number, (theirs, ours) in enumerate(zip(expected, actual, strict=True)):
        for tensor, want, got in zip(graph.output_tensors, theirs, ours, strict=True):
            mismatch = _compare(graph, number, tensor, want, got)
            if mismatch is not None:
                return mismatch
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
        different in every element.
    """
    oracle = Oracle(model, all_tensors=True)
    for number, sample in enumerate(samples):
        oracle.run(sample)
        for tensor in (t for op in graph.operators for t in graph.outputs_of(op)):
            expected = oracle.tensor(tensor.index)
            actual = np.frombuffer(trace.get((number, tensor.index), b""), expected.dtype)
            mismatch = _compare(graph, number, tensor, expected, actual)
            if mismatch is not None:
                return mismatch
        progress(number + 1, len(samples))
    return None


def _compare(
    graph: Graph, sample: int, tensor: Tensor, expected: Array, actual: Array
) -> MismatchReport | None:
    want, got = expected.ravel(), actual.ravel()
    if want.size == got.size:
        differing = int(np.count_nonzero(want != got))
        if differing == 0:
            return None
        worst = int(np.abs(want.astype(np.int64) - got.astype(np.int64)).max())
    else:
        differing, worst = want.size, 0
    producer = graph.producer(tensor.index)
    return MismatchReport(
        sample=sample,
        tensor=tensor.index,
        tensor_name=tensor.name,
        opcode="INPUT" if producer is None else producer.opcode,
        differing_elements=differing,
        total_elements=want.size,
        worst_difference=worst,
    )

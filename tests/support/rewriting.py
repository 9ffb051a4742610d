"""Compares a graph with its rewritten form on the reference kernels, tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support.graphs import random_inputs

from converters.tflite.graph import Graph
from device_runners.edge_tpu.preflight import preflight
from device_runners.edge_tpu.rewrites.change import Pass
from device_runners.edge_tpu.rewrites.driver import PASSES
from device_runners.edge_tpu.rewrites.reference import oracle


def the_pass(name: str) -> Pass:
    """One of the driver's passes."""
    return next(one for one in PASSES if one.description.name == name)


def rewritten_by(name: str, graph: Graph) -> Graph:
    """The graph after one pass, which has to match, and to have nothing more to do then."""
    change = the_pass(name).run(graph)
    assert change is not None
    assert the_pass(name).run(change.graph) is None
    return change.graph


def assert_every_common_tensor_is_equal(
    before: Graph, after: Graph, rng: np.random.Generator, samples: int = 2
) -> None:
    """Runs both on the same random inputs; passes keep the indices of the tensors."""
    first, second = (oracle(graph, all_tensors=True) for graph in (before, after))
    common = _computed(before) & _computed(after)
    assert set(before.outputs) <= common | set(before.inputs)
    for _ in range(samples):
        inputs = random_inputs(rng, before)
        outputs = first.run(inputs), second.run(inputs)
        assert_equal(*outputs)
        for index in common:
            np.testing.assert_array_equal(second.tensor(index), first.tensor(index), f"{index}")


def assert_equal(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> None:
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(other, one)


def opcodes(graph: Graph) -> list[str]:
    """The ops with their versions, in order."""
    return [f"{op.opcode} v{op.version}" for op in graph.operators]


def all_map(graph: Graph) -> bool:
    """Whether the compiler is predicted to take the file and map all of it."""
    prediction = preflight(graph)
    return not prediction.refused and prediction.mapped_ops == prediction.total_ops


def _computed(graph: Graph) -> set[int]:
    return {output for op in graph.operators for output in op.outputs}

"""Compares sequences with carried state, run on this machine, with the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.graphs import random_inputs
from support.host_equality import SANITIZED, assert_every_tensor_equals_reference, object_cache

from converters.tflite import write_graph
from converters.tflite.graph import Graph
from device_runners.cgen import HostBuild
from device_runners.host.oracle import Oracle
from device_runners.runner import Artifacts


def assert_samples_and_a_sequence_equal_reference(
    graph: Graph, seed: int, folder: Path, *, compiler: str = "cc", steps: int = 6
) -> Artifacts:
    """Runs samples, each from the reset state, and the same ones as a sequence; every tensor."""
    rng = np.random.default_rng(seed)
    samples = [random_inputs(rng, graph) for _ in range(steps)]
    artifacts = assert_every_tensor_equals_reference(graph, samples, folder, compiler=compiler)
    oracle = Oracle(write_graph(graph), all_tensors=True)
    with HostBuild(
        artifacts, compiler=compiler, flags=SANITIZED, object_cache=object_cache()
    ) as host:
        runs = host.run_many_traced(samples, keep_state=True)
    for step, (sample, run) in enumerate(zip(samples, runs, strict=True)):
        oracle.run(sample, keep_state=step > 0)
        for index, value in run.tensors.items():
            np.testing.assert_array_equal(value, oracle.tensor(index), f"{step}, tensor {index}")
    return artifacts

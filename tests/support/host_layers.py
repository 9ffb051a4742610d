"""Random layers on this machine, with the kernels of a level as portable C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.any_kernel import any_kernel
from support.dsp_layers import dsp_graph
from support.graphs import random_inputs
from support.host_equality import SANITIZED, assert_every_tensor_equals_reference
from support.int4_layers import with_int4_weights

from device_runners.cgen import Isa


def assert_exact(
    seed: int, isa: Isa, folder: Path, compiler: str = "cc", int4: bool = False
) -> set[str]:
    """Runs 24 random layers, sanitized, compares every tensor; returns the kernels they took."""
    rng = np.random.default_rng(seed)
    graph = dsp_graph(rng, 24)
    if int4:
        graph = with_int4_weights(graph, rng)
    samples = [random_inputs(rng, graph) for _ in range(3)]
    samples.append([np.full(t.shape, 127, np.int8) for t in graph.input_tensors])
    samples.append([np.full(t.shape, -128, np.int8) for t in graph.input_tensors])
    with any_kernel(seed):
        artifacts = assert_every_tensor_equals_reference(
            graph, samples, folder, flags=SANITIZED, isa=isa, compiler=compiler
        )
    return set(artifacts.figures["kernels"])

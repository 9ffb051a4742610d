"""Traces of a device: what passes left out of the generated code is put back to be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from converters.tflite.graph import Graph
from device_runners.cgen.passes import run_passes
from device_runners.cgen.program import program_of


def full_trace(
    graph: Graph, trace: Mapping[tuple[int, int], bytes]
) -> dict[tuple[int, int], bytes]:
    """The bytes of a trace, with all that the code leaves out put back.

    Args:
        graph: The graph that the code was built from.
        trace: The bytes of each tensor by (sample, tensor index), as the code wrote them.
    """
    program = run_passes(program_of(graph))
    removed, samples = program.removed, {sample for sample, _ in trace}
    whole = dict(trace)
    for index in program.folded:
        constant = program.graph.tensor(index).data
        assert constant is not None
        whole |= {(sample, index): constant.tobytes() for sample in samples}
    for (sample, index), data in trace.items():
        # Bytes of another size are left as they are: the comparison will say so.
        if index in removed and len(data) == removed[index].kept_bytes:
            values = removed[index].restore(np.frombuffer(data, np.int8))
            whole[sample, index] = values.tobytes()
    # Later ones may be what earlier ones were made of.
    for index in reversed(list(program.dropped)):
        pad = program.dropped[index]
        shape, dtype = graph.tensor(pad.source).shape, graph.tensor(pad.source).type.dtype
        for sample in samples:
            source = np.frombuffer(whole.get((sample, pad.source), b""), dtype)
            if source.size == math.prod(shape):
                whole[sample, index] = pad.restore(source.reshape(shape)).tobytes()
    return whole

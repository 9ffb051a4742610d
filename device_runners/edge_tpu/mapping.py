"""Which operators the compiler moved to the Edge TPU, read from its output file itself."""

from __future__ import annotations

from dataclasses import dataclass

from converters.errors import TidepoolError
from converters.tflite.graph import Graph, Operator

CUSTOM_OP = "edgetpu-custom-op"
"""The custom op that stands for all that the compiler moved to the Edge TPU."""

_Key = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True)
class Mapping:
    """Where each operator of the input graph runs.

    Attributes:
        tpu: Indices, in the input graph, of the operators on the Edge TPU.
        cpu: Those on the CPU.
        subgraphs: How many pieces run on the Edge TPU.
    """

    tpu: tuple[int, ...]
    cpu: tuple[int, ...]
    subgraphs: int


def read_mapping(graph: Graph, *compiled: Graph) -> Mapping:
    """Compares the compiler's input with its output, which is several files for segments.

    The compiler replaces operators by custom ops and leaves the others as they were: an operator
    of the output is the one of the input with the same op and the same names of its outputs.

    Raises:
        TidepoolError: A compiled graph wasn't made of this graph.
    """
    waiting: dict[_Key, list[int]] = {}
    for op in graph.operators:
        waiting.setdefault(_key(graph, op), []).append(op.index)
    cpu = []
    subgraphs = 0
    for part, op in [(each, op) for each in compiled for op in each.operators]:
        if op.custom_code == CUSTOM_OP:
            subgraphs += 1
            continue
        candidates = waiting.get(_key(part, op))
        if not candidates:
            raise TidepoolError(
                f"the compiled model has {op.display_name} '{_key(part, op)[2]}', which is "
                "not in the model that it should be made of",
                hint="compile the model again",
            )
        cpu.append(candidates.pop(0))
    on_cpu = frozenset(cpu)
    tpu = tuple(op.index for op in graph.operators if op.index not in on_cpu)
    return Mapping(tpu, tuple(sorted(cpu)), subgraphs)


def _key(graph: Graph, operator: Operator) -> _Key:
    names = tuple(tensor.name for tensor in graph.outputs_of(operator))
    return operator.opcode, operator.custom_code, names

"""How far an operator's output may overlap an input that nobody needs afterwards.

With the output at ``delta`` bytes from the input, writing output element p destroys input element
p + delta. That is right exactly if the element's last read came before. For an input element i
whose last read comes after n writes, which touched output elements from ``low(n)`` to ``high(n)``,
every delta from i - high(n) to i - low(n) may destroy it. The union over all i is what is
forbidden; its ends are exact, and what lies between them counts as forbidden as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from converters.tflite.graph import Graph
from device_runners.cgen.access import AccessPattern, Positions, accesses
from device_runners.cgen.kernel_orders import access_pattern
from device_runners.cgen.operation import Emission


@dataclass(frozen=True)
class Overlap:
    """Where an output may lie, seen from an input: at <= ``below`` or >= ``above`` bytes from it.

    ``below`` is at most 0 and ``above`` at least 0. For an element-wise kernel ``below`` is 0: in
    place, or anywhere in front. A kernel that keeps reading d bytes behind the place where it
    writes has ``below`` = -d: the output runs ahead of the input by d bytes ("diagonal" overlap).
    """

    below: int
    above: int

    def __and__(self, other: Overlap) -> Overlap:
        """What both allow."""
        return Overlap(min(self.below, other.below), max(self.above, other.above))

    def scaled(self, element_bytes: int) -> Overlap:
        """The same rule for elements of several bytes, if this one counts them as one byte each.

        An element that is written destroys every element that it shares a byte with: between one
        in front of and one behind the same place.
        """
        return Overlap(self.below * element_bytes, self.above * element_bytes)

    def reversed(self) -> Overlap:
        """The same, where the input may lie, seen from the output."""
        return Overlap(-self.above, -self.below)

    def allows(self, delta: int) -> bool:
        """Whether the output may lie at this distance from the input."""
        return delta <= self.below or delta >= self.above

    def aligned(self, alignment: int) -> Overlap:
        """The same for distances that are multiples of the alignment."""
        return Overlap(self.below // alignment * alignment, -(-self.above // alignment) * alignment)


@dataclass(frozen=True)
class _Call:
    """What matters of a call; hashable, so that equal layers are worked out once.

    Places are in elements.
    """

    pattern: AccessPattern
    inputs: tuple[int, ...]
    input_offset: int
    output: int
    output_offset: int


def overlaps(graph: Graph, emission: Emission) -> Mapping[tuple[int, int], Overlap]:
    """(input tensor, position of the output) -> where the output may lie.

    Empty if the order of a kernel is not known: then nothing may overlap.
    """
    calls = []
    for call in emission.calls:
        pattern = access_pattern(call)
        if pattern is None:
            return {}
        calls.append(
            _Call(
                pattern,
                call.inputs,
                call.input_offset // call.element_bytes,
                call.output,
                call.output_offset // call.element_bytes,
            )
        )
    sizes = {call.element_bytes for call in emission.calls}
    if len(sizes) > 1:
        return {}
    # The tensors' numbers don't matter: the same layer elsewhere in the graph is the same.
    numbers = {t: n for n, t in enumerate(dict.fromkeys(t for c in calls for t in c.inputs))}
    found = _overlaps(tuple(replace(c, inputs=tuple(numbers[t] for t in c.inputs)) for c in calls))
    tensors = {number: tensor for tensor, number in numbers.items()}
    size = max(sizes, default=1)
    return {
        (tensors[number], output): rule.scaled(size) for (number, output), rule in found.items()
    }


@lru_cache(maxsize=1024)
def _overlaps(calls: Sequence[_Call]) -> Mapping[tuple[int, int], Overlap]:
    reads: dict[int, list[tuple[Positions, Positions]]] = {}
    writes: dict[int, list[tuple[Positions, Positions]]] = {}
    time = 0  # counted in writes, over all calls
    for call in calls:
        order = accesses(call.pattern)
        count = len(order.writes)
        written = (time + np.arange(count), call.output_offset + order.writes)
        writes.setdefault(call.output, []).append(written)
        for tensor, last in zip(call.inputs, order.last_reads, strict=True):
            (read,) = np.nonzero(last >= 0)
            reads.setdefault(tensor, []).append((time + last[read], call.input_offset + read))
        time += count
    return {
        (tensor, output): _rule(_joined(parts), _joined(reads[tensor]))
        for output, parts in writes.items()
        for tensor in reads
    }


def _joined(parts: list[tuple[Positions, Positions]]) -> tuple[Positions, Positions]:
    times, places = zip(*parts, strict=True)
    return np.concatenate(times), np.concatenate(places)


def _rule(writes: tuple[Positions, Positions], reads: tuple[Positions, Positions]) -> Overlap:
    """The rule for one output and one input.

    Args:
        writes: Times, ascending, and output positions.
        reads: Times, each the number of writes to any output before it, and input positions.
    """
    times, places = writes
    before = np.searchsorted(times, reads[0], side="left")
    endangered = before > 0
    if not endangered.any():
        return Overlap(0, 0)
    last, elements = before[endangered] - 1, reads[1][endangered]
    highest = np.maximum.accumulate(places)[last]
    lowest = np.minimum.accumulate(places)[last]
    below = int((elements - highest).min()) - 1
    above = int((elements - lowest).max()) + 1
    return Overlap(min(below, 0), max(above, 0))

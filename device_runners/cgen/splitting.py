"""Calls in parts, bottom rows first, where that lowers the peak of the memory.

An output is written from its first row to its last, so it can only run ahead of its input, at lower
addresses. In parts from the bottom up it can also lie above: the last rows are written where no
input lies any more, or where it has been read. The parts compute the same; each has its own
parameters, and the weights are shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise

from device_runners.cgen.access import Geometry, Window
from device_runners.cgen.kernel_orders import SPLITTABLE, access_pattern
from device_runners.cgen.operation import Emission, KernelCall

_PARTS = (2, 4)


def alternatives(emission: Emission) -> Iterator[Emission]:
    """Other ways to run an operator with the same kernel; none if its kernel can't be split."""
    if len(emission.calls) != 1:
        return
    call = emission.calls[0]
    pattern = access_pattern(call)
    if call.function not in SPLITTABLE or not isinstance(pattern, Window):
        return
    geometry = pattern.geometry
    for parts in _PARTS:
        if geometry.batches == 1 and geometry.output_height >= parts:
            yield replace(emission, calls=bottom_rows_first(call, geometry, parts))


def bottom_rows_first(call: KernelCall, geometry: Geometry, parts: int) -> tuple[KernelCall, ...]:
    """The call in parts of about equal height, the last one first.

    Args:
        call: A call whose parameters have a ``window``, of one image.
        geometry: That window.
        parts: How many; at most the output's height.
    """
    edges = [part * geometry.output_height // parts for part in range(parts + 1)]
    calls = [_rows(call, geometry, first, last) for first, last in pairwise(edges)]
    return tuple(reversed(calls))


def _rows(call: KernelCall, geometry: Geometry, first: int, last: int) -> KernelCall:
    """Output rows ``first`` to ``last`` (exclusive)."""
    origin = first * geometry.stride_height - geometry.pad_top
    skipped = max(origin, 0)
    window = replace(
        geometry,
        input_height=geometry.input_height - skipped,
        output_height=last - first,
        pad_top=skipped - origin,
    )
    return replace(
        call,
        params={**call.params, "window": asdict(window)},
        input_offset=skipped * geometry.input_width * geometry.input_channels * call.element_bytes,
        output_offset=first * geometry.output_width * geometry.output_channels * call.element_bytes,
    )

"""Which tensor of the converted graph a trained range belongs to.

The converter names a tensor after the operations that it fused into the one that computes it, with
``;`` between them. So the tensor of a rounding is found by the operation that the rounding reads.
Where the converter replaced that operation by others, its name is gone, and there is only what
``trained.check_ranges`` asserts: that the range is in the graph.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from converters.errors import TidepoolError
from converters.qat.grid import Range
from converters.qat.int16 import FIXED_SCALE, WIDENING
from converters.tflite.convert import FrozenGraph
from converters.tflite.graph import Graph, Tensor

_SCALE_TOLERANCE = 1e-5
"""Relative; the converter derives scales in float arithmetic of its own."""

_FIXED = ((1 / 256, -128), (1 / 128, 0))
"""Scales and zero points that an operation gives; with 16 bits they are ``FIXED_SCALE``."""


@dataclass(frozen=True)
class Rounding:
    """A fake-quantization op of a traced model.

    Attributes:
        names: Its name, that of the operation that it reads, and if this one adds a bias, that of
            the one before: a bias of zeros is left out of the file.
        range: What it rounds to.
    """

    names: frozenset[str]
    range: Range


def roundings(frozen: FrozenGraph) -> list[Rounding]:
    """The roundings of a traced model, in its order."""
    import tensorflow as tf

    nodes = {node.name: node for node in tf.compat.v1.GraphDef.FromString(frozen.definition).node}
    found = []
    for node in nodes.values():
        if node.op != "FakeQuantWithMinMaxArgs":
            continue
        names = [node.name, _read(node)]
        if nodes[names[-1]].op == "BiasAdd":
            names.append(_read(nodes[names[-1]]))
        given = node.attr
        limits = given["min"].f, given["max"].f
        shown = Range(*limits, given["num_bits"].i, given["narrow_range"].b)
        found.append(Rounding(frozenset(names), shown))
    return found


def _read(node: Any) -> str:
    """The name of the operation that a node of a ``GraphDef`` reads first."""
    name: str = node.input[0].partition(":")[0]
    return name


def tensors_of(graph: Graph, rounding: Rounding) -> list[Tensor]:
    """The tensors that are named after a rounding or what it reads; mostly one."""
    return [
        tensor
        for tensor in graph.tensors
        if tensor.data is None
        and tensor.quantization is not None
        and rounding.names.intersection(tensor.name.split(";"))
    ]


def check_places(graph: Graph, frozen: FrozenGraph, *, wide: bool) -> None:
    """Asserts that every trained range is at the tensor that it was trained for.

    Args:
        graph: The converted graph.
        frozen: What it was converted from.
        wide: Whether it was widened to 16 bits.

    Raises:
        TidepoolError: It names the tensor.
    """
    for rounding in roundings(frozen):
        grids = _grids(rounding.range, wide=wide)
        tensors = tensors_of(graph, rounding)
        if not tensors or any(_is_on(tensor, grid) for tensor in tensors for grid in grids):
            continue
        found = tensors[0]
        raise TidepoolError(
            f"tensor '{found.name}' of the converted file has scale {found.scale:.6g} and zero "
            f"point {found.zero_point}, but {grids[0][0]:.6g} and {grids[0][1]} were trained",
            hint="the converter gave it the range of another tensor; report it with the model",
        )


def _grids(shown: Range, *, wide: bool) -> list[tuple[float, int]]:
    """Scale and zero point in the file; two of them where an 8-bit grid may be given or trained."""
    if not wide:
        return [(shown.scale, shown.zero_point)]
    given = [
        (FIXED_SCALE, 0)
        for scale, zero_point in _FIXED
        if zero_point == shown.zero_point and math.isclose(scale, shown.scale, rel_tol=1e-5)
    ]
    return [(shown.scale * WIDENING, 0), *given]


def _is_on(tensor: Tensor, grid: tuple[float, int]) -> bool:
    scale, zero_point = grid
    near = math.isclose(tensor.scale, scale, rel_tol=_SCALE_TOLERANCE)
    return near and tensor.zero_point == zero_point

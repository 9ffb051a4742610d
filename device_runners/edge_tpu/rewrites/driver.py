"""Runs the passes, in order, over a graph."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from converters.errors import TidepoolError
from converters.tflite.graph import Graph
from device_runners.edge_tpu.macs import operator_macs
from device_runners.edge_tpu.mapping import CUSTOM_OP
from device_runners.edge_tpu.preflight import preflight
from device_runners.edge_tpu.rewrites import (
    cut_tail,
    dense_to_convolution,
    dilated_convolution,
    fix_batch,
    fused_activation,
    grouped_convolution,
    io_types,
    leaky_relu,
    lower_versions,
    merge_reshapes,
    prune_operator_codes,
    split_v,
    subsampling,
    transpose_conv,
    unpack,
    upsampling,
)
from device_runners.edge_tpu.rewrites.change import (
    Change,
    Description,
    Pass,
    describe,
    described,
    graph_pass,
    operator_pass,
)
from device_runners.edge_tpu.rewrites.cut_tail import Cut, Part, Source
from device_runners.edge_tpu.rewrites.edit import compact
from device_runners.edge_tpu.rewrites.fix_batch import batch_findings
from device_runners.edge_tpu.rewrites.result import Applied, Rewritten

PASSES: tuple[Pass, ...] = (
    graph_pass(fix_batch),
    graph_pass(prune_operator_codes),
    graph_pass(io_types),
    operator_pass(dilated_convolution),
    operator_pass(transpose_conv),
    operator_pass(fused_activation),
    operator_pass(grouped_convolution),
    operator_pass(upsampling),
    operator_pass(dense_to_convolution),
    operator_pass(leaky_relu),
    operator_pass(unpack),
    operator_pass(split_v),
    operator_pass(subsampling),
    operator_pass(merge_reshapes),
    operator_pass(lower_versions),
)
"""In the order in which they run: shapes first, then ops, then what these leave behind."""

CUT = describe(cut_tail)
DESCRIPTIONS = (*(one.description for one in PASSES), CUT)
NAMES = tuple(description.name for description in DESCRIPTIONS)


def rewrite(graph: Graph, *, skip: Collection[str] = ()) -> Rewritten:
    """Rewrites a full-integer graph so that more of it maps to the Edge TPU.

    Every pass keeps all outputs, bit by bit, under the reference kernels. ``io_types`` and
    ``cut_tail`` change what the compiled model takes and gives: their notes, ``tail`` and
    ``outputs`` say how the host gets the whole model's results.

    Args:
        graph: A graph as a converter made it. One that needs nothing, or of which less work would
            map, comes back as it is.
        skip: Names of passes to leave out, of ``NAMES``.

    Raises:
        TidepoolError: A name is not that of a pass.
    """
    unknown = sorted(set(skip) - set(NAMES))
    if unknown:
        raise TidepoolError(
            f"there is no rewrite called {', '.join(unknown)}",
            hint=f"the rewrites are {', '.join(NAMES)}",
        )
    untouched = Rewritten(graph, (), None, (), _own_outputs(graph), batch_findings(graph))
    if graph.subgraphs > 1 or any(op.custom_code == CUSTOM_OP for op in graph.operators):
        # Control flow, or the compiler's own output: preflight says what to do.
        return untouched
    rewritten = _rewritten(untouched, skip)
    return untouched if _loses(graph, rewritten) else rewritten


def _rewritten(untouched: Rewritten, skip: Collection[str]) -> Rewritten:
    graph, applied = untouched.graph, list[Applied]()
    for one in PASSES:
        change = None if one.description.name in skip else one.run(graph)
        if change is not None:
            graph = change.graph
            applied.append(_applied(one.description, change))
    graph = compact(graph) if applied else graph
    cut = None if CUT.name in skip else cut_tail.cut(graph)
    if cut is None:
        return replace(untouched, graph=graph, applied=tuple(applied))
    applied.append(_applied_cut(graph, cut))
    findings = untouched.findings
    return Rewritten(cut.head, tuple(applied), cut.tail, cut.tail_inputs, cut.outputs, findings)


def _loses(graph: Graph, rewritten: Rewritten) -> bool:
    """Whether less work would map than before.

    There is one subgraph on the Edge TPU, the first that maps: where a rewrite frees a few
    operators before an obstacle, the greater part behind it is stranded.
    """
    return bool(rewritten.applied) and _mapped_macs(rewritten.graph) < _mapped_macs(graph)


def _mapped_macs(graph: Graph) -> int:
    mapped = (op.index for op in preflight(graph).ops if op.mapped)
    return sum(operator_macs(graph, graph.operators[index]) for index in mapped)


def _own_outputs(graph: Graph) -> tuple[Source, ...]:
    return tuple(Source(Part.HEAD, position) for position in range(len(graph.outputs)))


def _applied(one: Description, change: Change) -> Applied:
    note = f"{one.summary} {change.note}".strip()
    return Applied(one.name, max(1, len(change.operators)), change.operators, True, note)


def _applied_cut(graph: Graph, cut: Cut) -> Applied:
    operators = tuple(described(graph, graph.operators[index]) for index in cut.operators)
    given = ", ".join(f"'{tensor.name}'" for tensor in cut.tail.input_tensors)
    note = f"{CUT.summary} Operators on the host: {len(operators)}; they take {given}"
    return Applied(CUT.name, 1, operators, True, note)

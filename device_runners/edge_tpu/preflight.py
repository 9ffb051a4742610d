"""Says, before the compiler runs, what it will make of a graph.

Which operators map and why the others don't, what the first obstacle strands behind it, how many
bytes of parameters fit the Edge TPU's memory, and about how long an inference takes.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from converters.tflite.graph import Graph
from device_runners.edge_tpu import statuses
from device_runners.edge_tpu.estimate import LatencyRange, latency_range
from device_runners.edge_tpu.log import MAPPED, OperatorRow
from device_runners.edge_tpu.macs import operator_macs
from device_runners.edge_tpu.parameters import (
    MIB,
    MemoryLevel,
    ParameterPrediction,
    predict_parameters,
)
from device_runners.edge_tpu.partition import (
    ancestors,
    delegated,
    descendants,
    islands,
    partition,
)
from device_runners.edge_tpu.refusals import Refusal, refusals
from device_runners.edge_tpu.rule import Rule
from device_runners.edge_tpu.rules import broken_rule, risks
from device_runners.runner import Finding, Findings, finding_at

_BEHIND = "fix the operator that it stands behind"
_REFUSED = "fix what the compiler refuses the file for"


@dataclass(frozen=True)
class OpPrediction:
    """What will become of one operator.

    Attributes:
        index: Its index in the graph.
        op: Its opcode, with the name of a custom op.
        version: Its version.
        output: Name of its first output.
        mapped: Whether it will run on the Edge TPU.
        at_risk: Whether it may stay on the CPU although no rule says so.
        status: What the compiler writes of it in its table; of a file that it refuses, its
            message.
        fix: What to do about it; empty when it maps.
        rule: The rule that it breaks, in a sentence; empty when it breaks none.
    """

    index: int
    op: str
    version: int
    output: str
    mapped: bool
    at_risk: bool
    status: str
    fix: str
    rule: str


@dataclass(frozen=True)
class Share:
    """The part of a model that runs on the Edge TPU, from 0 to 1.

    Attributes:
        ops: Of its operators.
        macs: Of its multiply-accumulates; None when it has none.
    """

    ops: float
    macs: float | None


@dataclass(frozen=True)
class Blocker:
    """The first operator that keeps others off the Edge TPU.

    Attributes:
        index: Its index in the graph.
        op: Its opcode.
        output: Name of its first output.
        status: What the compiler writes of it.
        fix: The change that frees what stands behind it.
        stranded: Indices of the operators that would map but for it.
        after_fix: The share once it maps, and with it the operators of the same op that the same
            rule keeps off (or all that the compiler refuses the file for). The operators around
            them that don't map either count as part of the change.
    """

    index: int
    op: str
    output: str
    status: str
    fix: str
    stranded: tuple[int, ...]
    after_fix: Share


@dataclass(frozen=True)
class Preflight:
    """The prediction for a graph.

    Attributes:
        ops: One entry for each operator, in order.
        refused: Why the compiler will refuse the whole file; empty when it won't. Nothing maps
            then.
        first_blocker: The first operator that stands in the way; None when all map.
        share: The share on the Edge TPU as the model is.
        parameters: Bytes of parameters on the Edge TPU, cached and streamed.
        operator_table: The compiler's own table; empty when it refuses the file.
        latency: Milliseconds of an inference; None when nothing maps.
        warnings: What to look at although it doesn't keep anything from mapping for certain.
    """

    ops: tuple[OpPrediction, ...]
    refused: tuple[Finding, ...]
    first_blocker: Blocker | None
    share: Share
    parameters: ParameterPrediction
    operator_table: tuple[OperatorRow, ...]
    latency: LatencyRange | None
    warnings: tuple[Finding, ...]

    @property
    def mapped_ops(self) -> int:
        return sum(op.mapped for op in self.ops)

    @property
    def total_ops(self) -> int:
        return len(self.ops)

    @property
    def findings(self) -> Findings:
        """The prediction as findings: what refuses the file blocks, all else doesn't."""
        unmapped = (
            Finding(
                f"{op.op} (operator {op.index}) will run on the CPU: {op.status}. The rule: "
                f"{op.rule}",
                op.fix,
                operator=op.index,
                opcode=op.op,
                tensor=op.output,
                blocking=False,
            )
            for op in self.ops
            if op.rule
        )
        return Findings((*self.refused, *unmapped, *self.warnings))

    def to_json(self) -> str:
        """The prediction as JSON: one object, shares from 0 to 1, sizes in bytes."""
        fields = ("index", "op", "version", "output", "mapped", "status", "fix")
        document: dict[str, Any] = {
            "ops": [{name: getattr(op, name) for name in fields} for op in self.ops],
            "mapped_ops": self.mapped_ops,
            "total_ops": self.total_ops,
            "predicted_parameter_bytes": self.parameters.predicted,
            "at_risk": [op.index for op in self.ops if op.at_risk],
            "refused": [dataclasses.asdict(finding) for finding in self.refused],
            "first_blocker": _plain(self.first_blocker),
            "share": _plain(self.share),
            "parameters": _plain(self.parameters),
            "operator_table": [_plain(row) for row in self.operator_table],
            "latency": _plain(self.latency),
            "warnings": [dataclasses.asdict(finding) for finding in self.warnings],
        }
        return json.dumps(document, indent=2)


def preflight(graph: Graph) -> Preflight:
    """Predicts what compiler 16.0 makes of a graph, one subgraph on the Edge TPU."""
    broken = {op.index: broken_rule(graph, op) for op in graph.operators}
    refused = refusals(graph)
    mapped = frozenset[int]() if refused else _mapped(graph, broken)
    ops = tuple(_prediction(graph, i, broken, mapped, refused) for i in range(len(broken)))
    parameters = predict_parameters(graph, mapped)
    return Preflight(
        ops=ops,
        refused=tuple(refusal.finding for refusal in refused),
        first_blocker=_first_blocker(graph, broken, mapped, refused, ops),
        share=_share(graph, mapped),
        parameters=parameters,
        operator_table=() if refused else _operator_table(graph, ops),
        latency=_latency(graph, mapped, parameters) if mapped else None,
        warnings=(
            *_risk_warnings(graph, mapped),
            *_part_warnings(graph, broken, mapped),
            *_memory_warnings(parameters),
        ),
    )


_Broken = Mapping[int, Rule | None]


def _mapped(graph: Graph, broken: _Broken, fixed: Set[int] = frozenset()) -> frozenset[int]:
    supported = {index for index, rule in broken.items() if rule is None} | fixed
    part = delegated(partition(graph, supported))
    return frozenset(part.operators) if part else frozenset()


def _prediction(
    graph: Graph, index: int, broken: _Broken, mapped: Set[int], refused: tuple[Refusal, ...]
) -> OpPrediction:
    operator, rule = graph.operators[index], broken[index]
    own_refusal = next((refusal for refusal in refused if index in refusal.operators), None)
    at_risk = index in mapped and bool(risks(graph, operator))
    if own_refusal is not None:
        status, fix = own_refusal.message, own_refusal.finding.hint
    elif rule is not None:
        status, fix = rule.status, rule.fix_for(graph, operator)
    elif refused:
        status, fix = refused[0].message, _REFUSED
    elif index in mapped:
        status, fix = MAPPED, ""
    else:
        status, fix = statuses.MORE_SUBGRAPHS, _BEHIND
    return OpPrediction(
        index=index,
        op=operator.display_name,
        version=operator.version,
        output=graph.outputs_of(operator)[0].name if operator.outputs else "",
        mapped=index in mapped,
        at_risk=at_risk,
        status=status,
        fix=fix,
        rule=rule.message if rule is not None else "",
    )


def _first_blocker(
    graph: Graph,
    broken: _Broken,
    mapped: Set[int],
    refused: tuple[Refusal, ...],
    ops: tuple[OpPrediction, ...],
) -> Blocker | None:
    fixed = frozenset(index for refusal in refused for index in refusal.operators)
    if refused and not fixed:
        return None  # it isn't an operator's fault
    index = min(fixed) if fixed else _blocking_index(graph, broken, mapped)
    if index is None:
        return None
    rule = broken[index]
    if not fixed:
        alike = (op for op in graph.operators if op.display_name == ops[index].op)
        fixed = frozenset(op.index for op in alike if broken[op.index] is rule)
    obstacles = frozenset(i for i, found in broken.items() if found is not None)
    fixed = islands(graph, obstacles, fixed)
    fine = {op.index for op in graph.operators if broken[op.index] is None} - mapped - fixed
    behind = fine if refused else fine & descendants(graph, graph.operators[index])
    blocked = ops[index]
    return Blocker(
        index=index,
        op=blocked.op,
        output=blocked.output,
        status=blocked.status,
        fix=blocked.fix,
        stranded=tuple(sorted(behind)),
        after_fix=_share(graph, _mapped(graph, broken, fixed)),
    )


def _blocking_index(graph: Graph, broken: _Broken, mapped: Set[int]) -> int | None:
    """The first obstacle: one that strands others, else one at the end, else one at the start.

    What runs on the CPU before the Edge TPU's part strands nothing.
    """
    obstacles = {index for index, rule in broken.items() if rule is not None}
    before = obstacles & ancestors(graph, mapped)
    after = obstacles - before
    stranding = after & ancestors(graph, broken.keys() - obstacles - mapped)
    return next((min(found) for found in (stranding, after, before) if found), None)


def _share(graph: Graph, mapped: Set[int]) -> Share:
    macs = [operator_macs(graph, op) for op in graph.operators]
    return Share(
        ops=len(mapped) / len(macs) if macs else 0.0,
        macs=sum(macs[index] for index in mapped) / sum(macs) if any(macs) else None,
    )


def _operator_table(graph: Graph, ops: tuple[OpPrediction, ...]) -> tuple[OperatorRow, ...]:
    # The compiler's table has the bare opcode of a custom op.
    counts = Counter((graph.operators[op.index].opcode, op.status) for op in ops)
    return tuple(OperatorRow(op, count, status) for (op, status), count in counts.items())


def _latency(graph: Graph, mapped: Set[int], parameters: ParameterPrediction) -> LatencyRange:
    on_cpu = [op for op in graph.operators if op.index not in mapped]
    return latency_range(
        tpu_macs=sum(operator_macs(graph, graph.operators[index]) for index in mapped),
        streamed_bytes=parameters.streamed,
        cpu_macs=sum(operator_macs(graph, op) for op in on_cpu),
        cpu_elements=sum(t.elements for op in on_cpu for t in graph.outputs_of(op)),
    )


def _risk_warnings(graph: Graph, mapped: Set[int]) -> tuple[Finding, ...]:
    return tuple(
        finding_at(
            graph,
            graph.operators[index],
            f"{graph.operators[index].display_name} (operator {index}) may stay on the CPU. The "
            f"rule: {rule.message}",
            rule.fix,
            blocking=False,
        )
        for index in sorted(mapped)
        for rule in risks(graph, graph.operators[index])
    )


def _part_warnings(graph: Graph, broken: _Broken, mapped: Set[int]) -> tuple[Finding, ...]:
    supported = {index for index, rule in broken.items() if rule is None}
    parts = [part for part in partition(graph, supported) if part.supported] if mapped else []
    largest = max((len(part.operators) for part in parts), default=0)
    if largest <= len(mapped):
        return ()
    return (
        Finding(
            f"the first part of the graph that maps has {len(mapped)} operators and a later one "
            f"{largest}: this predicts that the first goes to the Edge TPU, but no compiled "
            "model is known that tells the first from the largest",
            "fix the first operator that blocks",
            blocking=False,
        ),
    )


def _memory_warnings(parameters: ParameterPrediction) -> tuple[Finding, ...]:
    if parameters.level is MemoryLevel.FITS:
        return ()
    low, high = (size / MIB for size in parameters.range)
    streamed = parameters.streamed[1] / MIB
    verb = "are" if parameters.level is MemoryLevel.STREAMS else "may be"
    return (
        Finding(
            f"the parameters take {low:.1f} to {high:.1f} MiB and the Edge TPU's memory holds 6 "
            f"to 8 MiB: up to {streamed:.1f} MiB {verb} streamed for every inference",
            "make the model smaller, or pipeline it over several Edge TPUs (segments)",
            blocking=False,
        ),
    )


def _plain(value: Any) -> Any:
    return None if value is None else dataclasses.asdict(value)

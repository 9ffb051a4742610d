"""Where the prediction of a model's mapping and the compiler's verdict differ.

The compiled file says for each operator whether it was mapped. Why one was not, only the compiler's
table says, which counts operators by opcode and status: the status of a single operator is certain
when all of its opcode on the CPU have the same one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from converters.tflite.graph import Graph
from device_runners.edge_tpu.log import MAPPED, OperatorRow
from device_runners.edge_tpu.preflight import Preflight

UNKNOWN = "on the CPU, for a reason that the compiler doesn't state"


@dataclass(frozen=True)
class OpDifference:
    """An operator that fared otherwise than predicted.

    Attributes:
        index: Its index in the graph.
        op: Its opcode, with the name of a custom op.
        output: Name of its first output.
        predicted: The predicted status.
        compiler: The compiler's status, or the statuses that it may have, joined by "or".
    """

    index: int
    op: str
    output: str
    predicted: str
    compiler: str


@dataclass(frozen=True)
class RowDifference:
    """A row of the operator table whose count differs.

    Attributes:
        opcode: TFLite's name of the op.
        status: The row's status.
        predicted: How many operators were predicted to be in it.
        compiler: How many the compiler put in it.
    """

    opcode: str
    status: str
    predicted: int
    compiler: int


@dataclass(frozen=True)
class Verdict:
    """The differences; none is what the prediction is worth.

    Attributes:
        operators: Operator by operator, as far as it is certain.
        table: Row by row; empty when the compiler printed no table.
    """

    operators: tuple[OpDifference, ...]
    table: tuple[RowDifference, ...]


def compare(
    graph: Graph, prediction: Preflight, on_cpu: Collection[int], table: Iterable[OperatorRow]
) -> Verdict:
    """Compares a prediction with the compiler's verdict.

    The prediction is for the compiler's default options: with ``enable_multiple_subgraphs``,
    ``intermediate_tensors`` or a search for a delegate it differs by design.

    Args:
        graph: The model.
        prediction: What was predicted of it.
        on_cpu: Indices of the operators that stayed on the CPU, from the compiled files.
        table: The compiler's operator table; empty when it printed none.
    """
    rows = tuple(table)
    statuses: dict[str, list[str]] = {}
    for row in rows:
        if row.status != MAPPED:
            statuses.setdefault(row.opcode, []).append(row.status)
    different = []
    for op in prediction.ops:
        possible = [MAPPED]
        if op.index in on_cpu:
            # The compiler's table has the bare opcode of a custom op.
            possible = statuses.get(graph.operators[op.index].opcode, [])
        agrees = op.mapped == (op.index not in on_cpu) and (not possible or op.status in possible)
        if not agrees:
            said = " or ".join(dict.fromkeys(possible)) or UNKNOWN
            different.append(OpDifference(op.index, op.op, op.output, op.status, said))
    return Verdict(tuple(different), _row_differences(prediction.operator_table, rows))


def compare_figures(graph: Graph, prediction: Preflight, figures: dict[str, Any]) -> Verdict:
    """The same, from the figures of ``runner.build`` for one model."""
    on_cpu = {operator["operator"] for operator in figures["cpu_operators"]}
    table = [OperatorRow(**row) for row in figures["compile_report"]["operators"]]
    return compare(graph, prediction, on_cpu, table)


def _row_differences(
    predicted: Iterable[OperatorRow], compiler: tuple[OperatorRow, ...]
) -> tuple[RowDifference, ...]:
    if not compiler:
        return ()
    before, after = (_counts(rows) for rows in (predicted, compiler))
    return tuple(
        RowDifference(opcode, status, before[opcode, status], after[opcode, status])
        for opcode, status in sorted(before.keys() | after.keys())
        if before[opcode, status] != after[opcode, status]
    )


def _counts(rows: Iterable[OperatorRow]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        counts[row.opcode, row.status] += row.count
    return counts

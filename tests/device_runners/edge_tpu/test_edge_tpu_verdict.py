"""Where the prediction and the compiler's verdict differ is said, operator by operator."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.edge_tpu_compiled import relu_chain

from converters.tflite.reader import read_graph
from device_runners.edge_tpu import statuses
from device_runners.edge_tpu.log import MAPPED, OperatorRow, parse_report
from device_runners.edge_tpu.mapping import read_mapping
from device_runners.edge_tpu.preflight import preflight
from device_runners.edge_tpu.verdict import UNKNOWN, OpDifference, RowDifference, compare

GRAPH = relu_chain("net")
PREDICTION = preflight(GRAPH)
ALL_MAPPED = (OperatorRow("RELU", 4, MAPPED),)


def test_nothing_differs() -> None:
    verdict = compare(GRAPH, PREDICTION, (), ALL_MAPPED)
    assert verdict.operators == verdict.table == ()


def test_an_operator_that_stayed_on_the_cpu_has_the_compilers_status() -> None:
    table = (OperatorRow("RELU", 3, MAPPED), OperatorRow("RELU", 1, statuses.UNSPECIFIED))
    verdict = compare(GRAPH, PREDICTION, {3}, table)
    assert verdict.operators == (OpDifference(3, "RELU", "net/t4", MAPPED, statuses.UNSPECIFIED),)
    assert verdict.table == (
        RowDifference("RELU", MAPPED, 4, 3),
        RowDifference("RELU", statuses.UNSPECIFIED, 0, 1),
    )


def test_several_statuses_of_one_opcode_leave_the_choice() -> None:
    table = (
        OperatorRow("RELU", 1, statuses.UNSPECIFIED),
        OperatorRow("RELU", 1, statuses.MORE_SUBGRAPHS),
        OperatorRow("RELU", 2, MAPPED),
    )
    verdict = compare(GRAPH, PREDICTION, {2, 3}, table)
    said = f"{statuses.UNSPECIFIED} or {statuses.MORE_SUBGRAPHS}"
    assert [each.compiler for each in verdict.operators] == [said, said]


def test_without_a_table_the_reason_is_unknown() -> None:
    verdict = compare(GRAPH, PREDICTION, {3}, ())
    assert verdict.operators[0].compiler == UNKNOWN
    assert verdict.table == ()


@pytest.fixture
def pessimist() -> object:
    """A prediction that the last operator stays on the CPU."""
    last = dataclasses.replace(
        PREDICTION.ops[3], mapped=False, status=statuses.NOT_SUPPORTED, fix="replace it"
    )
    table = (OperatorRow("RELU", 3, MAPPED), OperatorRow("RELU", 1, statuses.NOT_SUPPORTED))
    return dataclasses.replace(PREDICTION, ops=(*PREDICTION.ops[:3], last), operator_table=table)


def test_an_operator_that_mapped_after_all(pessimist: object) -> None:
    verdict = compare(GRAPH, pessimist, (), ALL_MAPPED)  # type: ignore[arg-type]
    assert verdict.operators == (OpDifference(3, "RELU", "net/t4", statuses.NOT_SUPPORTED, MAPPED),)


def test_another_reason_is_a_difference_too(pessimist: object) -> None:
    table = (OperatorRow("RELU", 3, MAPPED), OperatorRow("RELU", 1, statuses.VERSION))
    verdict = compare(GRAPH, pessimist, {3}, table)  # type: ignore[arg-type]
    assert [each.compiler for each in verdict.operators] == [statuses.VERSION]


@pytest.mark.parametrize(
    "name", ["deeplabv3_mnv2_dm05_pascal_quant", "movenet_single_pose_lightning_ptq"]
)
def test_real_pairs_fare_as_predicted(edge_tpu_pairs: Path, name: str) -> None:
    graph = read_graph(edge_tpu_pairs / f"{name}.tflite")
    mapping = read_mapping(graph, read_graph(edge_tpu_pairs / f"{name}_edgetpu.tflite"))
    assert compare(graph, preflight(graph), mapping.cpu, ()).operators == ()


def test_a_real_table_is_compared_row_by_row(edge_tpu_pairs: Path) -> None:
    log = (edge_tpu_pairs.parent / "logs" / "tiny_yolo_14.1.log").read_text()
    rows = parse_report(log).operators
    verdict = compare(GRAPH, PREDICTION, (), rows)
    # Another model's table: all of its rows, and the one that was predicted.
    assert len(verdict.table) == len(rows) + 1

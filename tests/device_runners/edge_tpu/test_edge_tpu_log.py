"""The compiler's reports, of several versions, on the terminal and in its log files."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.edgetpu_outputs import (
    BODY_16,
    END_16,
    FAILED_16,
    LOG_2,
    NOT_QUANTIZED_1,
    PARTLY,
    SEARCH_16,
    SEGMENT_WARNING_15,
    SEGMENTS_16,
    START_16,
    SUCCESS_2,
    SUCCESS_15,
    SUCCESS_16,
    TABLE,
    TOGETHER_16,
)

from converters.errors import TidepoolError
from device_runners.edge_tpu.delegate_search import SearchTry, parse_searches
from device_runners.edge_tpu.log import (
    MAPPED,
    OperatorRow,
    parse_report,
    parse_reports,
    parse_version,
    parse_warnings,
    total_report,
)

MIB = 1 << 20
KIB = 1 << 10


@pytest.fixture
def logs(edge_tpu_pairs: Path) -> Path:
    return edge_tpu_pairs.parent / "logs"


def test_everything_that_16_0_prints() -> None:
    report = parse_report(SUCCESS_16.replace("{stem}", "net"))
    assert report.version == "16.0.384591198"
    assert report.duration_ms == 3173
    assert report.input_bytes == round(7.37 * MIB)
    assert report.output_bytes == round(8.34 * MIB)
    assert report.on_chip_used_bytes == round(6.08 * MIB)
    assert report.on_chip_remaining_bytes == 1792
    assert report.off_chip_bytes == 0
    assert report.subgraphs == 2
    assert (report.total_operations, report.tpu_operations, report.cpu_operations) == (294, 289, 5)
    assert (report.input_model, report.output_model) == ("net.tflite", "net_edgetpu.tflite")
    assert sum(row.count for row in report.operators) == 294
    assert report.unmapped == (
        OperatorRow("DEQUANTIZE", 2, "Operation is working on an unsupported data type"),
        OperatorRow(
            "QUANTIZE",
            3,
            "Operation is otherwise supported, but not mapped due to some unspecified limitation",
        ),
    )


def test_all_is_mapped_when_the_two_lines_are_absent() -> None:
    report = parse_report(START_16 + BODY_16 + END_16)
    assert (report.total_operations, report.tpu_operations, report.cpu_operations) == (294, 294, 0)
    assert report.operators == ()


def test_nothing_mapped() -> None:
    nothing = PARTLY.replace("289", "0").replace("CPU: 5", "CPU: 294")
    body = BODY_16.replace("subgraphs: 2", "subgraphs: 0")
    report = parse_report(START_16 + body + nothing)
    assert (report.tpu_operations, report.cpu_operations, report.subgraphs) == (0, 294, 0)


@pytest.mark.parametrize(
    ("printed", "size"),
    [("0.00B", 0), ("12.00KiB", 12 * KIB), ("1.50GiB", 3 << 29), ("2 MiB", 2 * MIB)],
)
def test_every_unit_of_size(printed: str, size: int) -> None:
    assert parse_report(SUCCESS_16.replace("7.37MiB", printed)).input_bytes == size


def test_2_0_prints_the_memory_before_the_model_took_its_part() -> None:
    report = parse_report(SUCCESS_2)
    assert report.on_chip_used_bytes == 10_240
    assert report.on_chip_remaining_bytes == round(1.75 * MIB) - 10_240
    assert report.cpu_operations == 0


def test_15_0_may_say_nothing_of_the_memory() -> None:
    report = parse_report(SUCCESS_15)
    assert (report.duration_ms, report.total_operations) == (787, 31)
    assert report.on_chip_used_bytes is report.off_chip_bytes is None


def test_log_of_2_0_quoted_with_an_indent() -> None:
    report = parse_report(LOG_2)
    assert (report.tpu_operations, report.cpu_operations) == (20, 0)
    assert report.output_model == "quantized_edgetpu.tflite"
    assert report.operators[1] == OperatorRow("MAX_POOL_2D", 6, MAPPED)


def test_version_of_1_0() -> None:
    assert parse_version(NOT_QUANTIZED_1) == "1.0.249710469"


def test_after_a_search_the_last_attempt_counts() -> None:
    report = parse_report(SEARCH_16)
    assert (report.duration_ms, report.tpu_operations, report.cpu_operations) == (3173, 289, 5)
    assert len(report.operators) == 4


def test_a_search_tells_every_try_and_what_it_found() -> None:
    (search,) = parse_searches(SEARCH_16)
    assert search.step == 10
    assert search.tries[:2] == (
        SearchTry(
            294,
            (),
            compiled=False,
            failure="Compilation failed: Compilation failed due to large activation tensors in "
            "model.",
        ),
        SearchTry(284, ("tfl.dequantize", "Sigmoid1"), compiled=False, failure=""),
    )
    assert search.found == SearchTry(
        274,
        ("Relu6_12;box-0-bn-7/FusedBatchNormV3;box-0/BiasAdd_4", "Reshape_3", "y"),
        compiled=True,
        failure="",
    )


def test_a_search_that_found_nothing() -> None:
    output = SEARCH_16[: SEARCH_16.index("Try to compile segment with 274")]
    (search,) = parse_searches(output)
    assert search.found is None and len(search.tries) == 2
    assert parse_searches(FAILED_16) == ()


def test_co_compiled_models_have_a_report_each() -> None:
    first, second = parse_reports(TOGETHER_16)
    assert (first.output_model, second.output_model) == (
        "together/first_edgetpu.tflite",
        "together/second_edgetpu.tflite",
    )
    assert (first.on_chip_used_bytes, second.on_chip_used_bytes) == (round(2.27 * MIB), 2 * MIB)
    assert (first.off_chip_bytes, second.off_chip_bytes) == (0, round(158.06 * KIB))
    assert (first.total_operations, second.total_operations) == (57, 6)
    assert first.duration_ms == second.duration_ms == 524


def test_segments_have_a_report_each_and_a_search_each() -> None:
    first, second = parse_reports(SEGMENTS_16)
    assert (first.duration_ms, second.duration_ms) == (2270, 1500)
    assert (first.tpu_operations, first.cpu_operations) == (84, 0)
    assert (second.tpu_operations, second.cpu_operations) == (330, 10)
    assert [len(report.operators) for report in (first, second)] == [4, 2]
    one, two = parse_searches(SEGMENTS_16)
    assert one.found is not None and one.found.intermediate_tensors == ()
    assert two.found is not None
    assert two.found.intermediate_tensors == ("tfl.dequantize", "Reshape", "Reshape_8")


def test_total_over_segments() -> None:
    total = total_report(parse_reports(SEGMENTS_16))
    assert (total.duration_ms, total.total_operations) == (3770, 424)
    assert (total.tpu_operations, total.cpu_operations, total.subgraphs) == (414, 10, 2)
    assert total.on_chip_used_bytes == round(6.02 * MIB) + MIB
    assert total.on_chip_remaining_bytes is None  # each segment has a memory of its own
    counts = {(row.opcode, row.status): row.count for row in total.operators}
    assert counts["CONV_2D", MAPPED] == 46 + 330
    assert sum(counts.values()) == 424


def test_total_is_unknown_where_one_segment_says_nothing() -> None:
    silent = parse_report(SUCCESS_15)
    assert total_report([parse_report(SUCCESS_16), silent]).on_chip_used_bytes is None
    assert total_report([silent]) is silent


def test_warnings_are_read_once() -> None:
    output = f"{START_16}{SEGMENT_WARNING_15}\n{SEGMENT_WARNING_15}\n{BODY_16}{END_16}"
    assert parse_warnings(output) == (SEGMENT_WARNING_15.removeprefix("Warning: "),)
    assert parse_warnings(SUCCESS_16) == ()


def test_text_of_another_program_is_refused() -> None:
    with pytest.raises(TidepoolError, match="not output of the Edge TPU compiler"):
        parse_report("command not found")


def test_several_models_are_no_single_report() -> None:
    with pytest.raises(TidepoolError, match="reports 2 models or segments"):
        parse_report(TOGETHER_16)


def test_other_lines_are_no_operators() -> None:
    output = START_16 + BODY_16 + TABLE + "ERROR: 3 more\nx 3 y\n" + END_16
    assert len(parse_report(output).operators) == 4


@pytest.mark.parametrize(
    ("name", "version", "tpu", "cpu", "rows"),
    [
        ("face_detection_cocompiled_15.0.log", "15.0.340273435", 75, 3, 10),
        ("tiny_yolo_14.1.log", "14.1.317412892", 19, 6, 8),
        ("yolov8n_192_16.0.log", "16.0.384591198", 257, 0, 14),
    ],
)
def test_real_log_files(logs: Path, name: str, version: str, tpu: int, cpu: int, rows: int) -> None:
    report = parse_report((logs / name).read_text())
    assert report.version == version
    assert (report.tpu_operations, report.cpu_operations) == (tpu, cpu)
    assert report.total_operations == tpu + cpu
    assert len(report.operators) == rows
    assert all(row.count > 0 and row.opcode.isupper() for row in report.operators)
    assert report.output_model.endswith("_edgetpu.tflite")
    # A log file holds no sizes.
    assert report.duration_ms is report.input_bytes is report.on_chip_used_bytes is None


def test_an_operator_has_one_row_a_status(logs: Path) -> None:
    report = parse_report((logs / "tiny_yolo_14.1.log").read_text())
    statuses = {row.status: row.count for row in report.operators if row.opcode == "CONV_2D"}
    assert statuses == {MAPPED: 11, "More than one subgraph is not supported": 2}

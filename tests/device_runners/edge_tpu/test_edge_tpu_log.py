"""The compiler's reports, of several versions, on the terminal and in its log files."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import TidepoolError
from device_runners.edge_tpu.failures import FAILURES, explain
from device_runners.edge_tpu.log import MAPPED, OperatorRow, parse_report

MIB = 1 << 20

SUCCESS_16 = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 3173 ms.

Input model: net.tflite
Input size: 7.37MiB
Output model: net_edgetpu.tflite
Output size: 8.34MiB
On-chip memory used for caching model parameters: 6.08MiB
On-chip memory remaining for caching model parameters: 1.75KiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 2
Total number of operations: 294
Operation log: net_edgetpu.log
"""
PARTLY = """
Model successfully compiled but not all operations are supported by the Edge TPU.
Number of operations that will run on Edge TPU: 289
Number of operations that will run on CPU: 5
"""
TABLE = """
Operator                       Count      Status

CONCATENATION                  17         Mapped to Edge TPU
DEQUANTIZE                     2          Operation is working on an unsupported data type
QUANTIZE                       3          Operation is otherwise supported, but not mapped due \
to some unspecified limitation
CONV_2D                        272        Mapped to Edge TPU
"""
END_16 = """Compilation child process completed within timeout period.
Compilation succeeded!
"""
SUCCESS_2 = """Edge TPU Compiler version 2.0.267685300

Model compiled successfully in 231 ms.

Input model: net.tflite
Input size: 3.03KiB
Output model: net_edgetpu.tflite
Output size: 296.85KiB
On-chip memory available for caching model parameters: 1.75MiB
On-chip memory used for caching model parameters: 10.00KiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 3
Operation log: net_edgetpu.log
See the operation log file for individual operation details.
"""


@pytest.fixture
def logs(edge_tpu_pairs: Path) -> Path:
    return edge_tpu_pairs.parent / "logs"


def test_everything_that_16_0_prints() -> None:
    report = parse_report(SUCCESS_16 + PARTLY + TABLE + END_16)
    assert report.version == "16.0.384591198"
    assert report.duration_ms == 3173
    assert report.input_bytes == round(7.37 * MIB)
    assert report.output_bytes == round(8.34 * MIB)
    assert report.on_chip_used_bytes == round(6.08 * MIB)
    assert report.on_chip_remaining_bytes == 1792
    assert report.off_chip_bytes == 0
    assert report.subgraphs == 2
    assert (report.total_operations, report.tpu_operations, report.cpu_operations) == (294, 289, 5)
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
    report = parse_report(SUCCESS_16 + END_16)
    assert (report.total_operations, report.tpu_operations, report.cpu_operations) == (294, 294, 0)
    assert report.operators == ()


def test_nothing_mapped() -> None:
    nothing = PARTLY.replace("289", "0").replace("CPU: 5", "CPU: 294")
    report = parse_report(SUCCESS_16.replace("subgraphs: 2", "subgraphs: 0") + nothing)
    assert (report.tpu_operations, report.cpu_operations, report.subgraphs) == (0, 294, 0)


def test_2_0_prints_the_memory_before_the_model_took_its_part() -> None:
    report = parse_report(SUCCESS_2)
    assert report.on_chip_used_bytes == 10_240
    assert report.on_chip_remaining_bytes == round(1.75 * MIB) - 10_240
    assert report.cpu_operations == 0


def test_after_a_search_the_last_attempt_counts() -> None:
    search = """Edge TPU Compiler version 16.0.384591198
Searching for valid delegate with step 10
Try to compile segment with 294 ops
Started a compilation timeout timer of 180 seconds.
ERROR: Restored original execution plan after delegate application failure.
Compilation failed: Compilation failed due to large activation tensors in model.
Compilation child process completed within timeout period.
Compilation failed!
Try to compile segment with 284 ops
Intermediate tensors: a,b
"""
    report = parse_report(search + SUCCESS_16.split("\n", 1)[1] + PARTLY + TABLE + END_16)
    assert (report.duration_ms, report.tpu_operations, report.cpu_operations) == (3173, 289, 5)
    assert len(report.operators) == 4


def test_text_of_another_program_is_refused() -> None:
    with pytest.raises(TidepoolError, match="not output of the Edge TPU compiler"):
        parse_report("command not found")


def test_several_models_are_refused() -> None:
    with pytest.raises(TidepoolError, match="several co-compiled models"):
        parse_report(SUCCESS_16.replace("Model compiled", "Models compiled"))


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
    # A log file holds no sizes.
    assert report.duration_ms is report.input_bytes is report.on_chip_used_bytes is None


def test_an_operator_has_one_row_a_status(logs: Path) -> None:
    report = parse_report((logs / "tiny_yolo_14.1.log").read_text())
    statuses = {row.status: row.count for row in report.operators if row.opcode == "CONV_2D"}
    assert statuses == {MAPPED: 11, "More than one subgraph is not supported": 2}


FAILED = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.
{}
Compilation child process completed within timeout period.
Compilation failed!
"""
KNOWN = [
    (
        "ERROR: Didn't find op for builtin opcode 'TRANSPOSE_CONV' version '4'. An older version "
        "of this builtin might be supported.\n\nERROR: Registration failed.\n\n"
        "Invalid model: net.tflite\nModel could not be parsed",
        "version 4 of TRANSPOSE_CONV",
        "Conv2DTranspose",
    ),
    (
        "ERROR: Didn't find op for builtin opcode 'REVERSE_V2' version '3'\nModel could not be "
        "parsed",
        "version 3 of REVERSE_V2",
        "older version",
    ),
    ("ERROR: Op builtin_code out of range: 150", "op number 150", "replace"),
    (
        "ERROR: Attempting to use a delegate that only supports static-sized tensors with a graph "
        "that has dynamic-sized tensors.\nCompilation failed: Model failed in Tflite interpreter.",
        "dynamic size",
        "batch fixed at 1",
    ),
    (
        "ERROR: Restored original execution plan after delegate application failure.\nCompilation "
        "failed: Compilation failed due to large activation tensors in model.",
        "activations don't fit",
        "smaller input",
    ),
    (
        "Compilation timeout. This is usually caused by large activations.",
        "its own time limit",
        "smaller input",
    ),
    ("Invalid model: net.tflite\nModel not quantized", "not fully quantized", "full-integer"),
    (
        "Invalid model: net.tflite\nModel could not be parsed\nERROR: Did not get operators, "
        "tensors, or buffers in subgraph 0.",
        "no graph",
        "convert",
    ),
    ("Internal compiler error. Aborting! ", "failed inside", "try again"),
    (
        "Package requires runtime version (14), which is newer than this runtime version (13).",
        "needs Edge TPU runtime 14, and the device has 13",
        "newer Edge TPU runtime",
    ),
    ("Invalid model: net.tflite\nModel could not be parsed", "can't read", "convert"),
    ("Compilation failed: Something new.", "Something new.", "output"),
]


@pytest.mark.parametrize(("text", "cause", "fix"), KNOWN)
def test_known_failure_has_a_cause_and_a_fix(text: str, cause: str, fix: str) -> None:
    error = explain(FAILED.format(text))
    assert error is not None
    assert cause in error.message
    assert fix in error.hint


def test_every_known_failure_is_tried() -> None:
    import re

    matched = {
        next(f.pattern for f in FAILURES if re.search(f.pattern, FAILED.format(text)))
        for text, _, _ in KNOWN
    }
    assert matched == {failure.pattern for failure in FAILURES}


def test_success_is_no_failure() -> None:
    assert explain(SUCCESS_16 + PARTLY + TABLE + END_16) is None

"""Every known failure of a whole run has a cause and a fix."""

from __future__ import annotations

import pytest
from support.edgetpu_outputs import (
    ACTIVATIONS,
    CRASH_16,
    FAILED_END_16,
    INTERNAL_14,
    NOT_QUANTIZED_1,
    SEARCH_16,
    SEGMENTS_16,
    START_16,
    SUCCESS_2,
    SUCCESS_16,
    TIMEOUT,
    TOGETHER_16,
)

from device_runners.edge_tpu.failures import FAILURES, find_failure

INTERPRETER = (
    "\nCompilation failed: Model failed in Tflite interpreter. Please ensure model can be "
    "loaded/run in Tflite interpreter."
)
KNOWN = [
    (
        "ERROR: Didn't find op for builtin opcode 'TRANSPOSE_CONV' version '4'. An older version "
        "of this builtin might be supported. Are you using an old TFLite binary with a newer "
        "model?\n\nERROR: Registration failed.\n\nInvalid model: net.tflite\nModel could not be "
        "parsed",
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
        "that has dynamic-sized tensors." + INTERPRETER,
        "dynamic size",
        "batch fixed at 1",
    ),
    (
        "ERROR: Regular TensorFlow ops are not supported by this interpreter. Make sure you "
        "apply/link the Flex delegate before inference.\nERROR: Node number 0 "
        "(FlexTensorListReserve) failed to prepare.\n" + INTERPRETER,
        "ops of TensorFlow",
        "SELECT_TF_OPS",
    ),
    (
        "ERROR: Encountered unresolved custom op: Atan.\nERROR: Node number 1 (Atan) failed to "
        "prepare.\n" + INTERPRETER,
        "doesn't know the custom op Atan",
        "cut the model before it",
    ),
    (
        "error: 'dwl.matrix_multiply' op per axis quantization is not supported",
        "one scale for each channel",
        "one scale for the tensor",
    ),
    (
        "ERROR: :344 no_integer_overflow_from_quantization was not true.\nERROR: Node number 31 "
        "(CONV_2D) failed to prepare.\n" + INTERPRETER,
        "too small for its activation function (operator 31, CONV_2D)",
        "calibrate",
    ),
    (
        "ERROR: :80 t->dims->data[d] != t0->dims->data[d] (9 != 13)\nERROR: Node number 12 "
        "(CONCATENATION) failed to prepare.\n" + INTERPRETER,
        "can't set up operator 12, CONCATENATION",
        "shapes",
    ),
    (ACTIVATIONS, "activations don't fit", "search_delegate"),
    (TIMEOUT, "its own time limit", "timeout_sec"),
    ("Invalid model: net.tflite\nModel not quantized", "not fully quantized", "full-integer"),
    (
        "Invalid model: net.tflite\nModel could not be parsed\nERROR: Did not get operators, "
        "tensors, or buffers in subgraph 0.",
        "no graph",
        "convert",
    ),
    (
        "The number of lists given to intermediate_tensors doesn't match the number of input "
        "models.",
        "a colon in a tensor's name",
        "other intermediate tensors",
    ),
    ("Error opening file for reading: net.tflite", "can't open net.tflite", "container"),
    ("Internal compiler error. Aborting! ", "failed inside", "try again"),
    (
        "terminating with uncaught exception of type std::out_of_range: vector\n\nInternal "
        "compiler error. Aborting!",
        "failed inside",
        "try again",
    ),
    ("Compilation failed: Internal error.", "failed inside", "try again"),
    (CRASH_16, "crashed", "replace layers"),
    (
        "Package requires runtime version (14), which is newer than this runtime version (13).",
        "needs Edge TPU runtime 14, and the device has 13",
        "min_runtime_version = 13",
    ),
    ("Invalid model: net.tflite\nModel could not be parsed", "can't read", "convert"),
    ("Compilation failed: Something new.", "Something new.", "output"),
    ("Compilation failed! ", "no reason", "search_delegate = on"),
]


@pytest.mark.parametrize(("text", "cause", "fix"), KNOWN)
def test_known_failure_has_a_cause_and_a_fix(text: str, cause: str, fix: str) -> None:
    found = find_failure(f"{START_16}{text}\n{FAILED_END_16}")
    assert found is not None
    assert cause in found.error.message
    assert fix in found.error.hint
    assert "{" not in found.error.hint


def test_every_known_failure_is_tried() -> None:
    found = [find_failure(f"{START_16}{text}\n{FAILED_END_16}") for text, _, _ in KNOWN]
    assert {each.failure.pattern for each in found if each} == {f.pattern for f in FAILURES}


def test_only_the_internal_error_is_random() -> None:
    assert [f.pattern for f in FAILURES if f.random] == [
        "Internal compiler error|Compilation failed: Internal error"
    ]
    found = find_failure(INTERNAL_14)
    assert found is not None and found.failure.random


def test_an_internal_error_with_a_cause_is_not_random() -> None:
    output = (
        "Edge TPU Compiler version 2.1.302470888\nERROR: :160 NumOutputs(node) != 4 (1 != 4)\n"
        "ERROR: Node number 121 (TFLite_Detection_PostProcess) failed to prepare.\n\n"
        "Internal compiler error. Aborting!\n"
    )
    found = find_failure(output)
    assert found is not None and not found.failure.random
    assert "operator 121, TFLite_Detection_PostProcess" in found.error.message


def test_a_crash_with_segments_names_the_known_cause() -> None:
    found = find_failure(CRASH_16, segments=2)
    assert found is not None and "without num_segments" in found.error.hint


def test_after_a_search_its_last_try_is_explained() -> None:
    failed = SEARCH_16[: SEARCH_16.index("Try to compile segment with 274")]
    found = find_failure(failed)
    assert found is not None and "no reason" in found.error.message
    cut = find_failure(failed + "Try to compile segment with 274 ops\n")
    assert cut is not None and "activations" in cut.error.message


def test_1_0_says_it_the_same_way() -> None:
    found = find_failure(NOT_QUANTIZED_1)
    assert found is not None and "not fully quantized" in found.error.message


@pytest.mark.parametrize("output", [SUCCESS_16, SUCCESS_2, TOGETHER_16])
def test_success_is_no_failure(output: str) -> None:
    assert find_failure(output) is None


def test_a_segment_that_compiled_in_the_end_is_no_failure() -> None:
    assert find_failure(SEGMENTS_16[: SEGMENTS_16.index("Searching", 200)]) is None

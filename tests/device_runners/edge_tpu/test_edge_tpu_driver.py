"""The driver calls the compiler again where that helps, within one time limit."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.edge_tpu_compiled import compiled, relu_chain
from support.edgetpu_outputs import (
    CRASH_16,
    FAILED_16,
    FAILED_END_16,
    INTERNAL_14,
    SEARCH_16,
    START_16,
    SUCCESS_16,
    TIMEOUT,
)
from support.edgetpu_stand_in import Outcome, StandIn, is_running, make_compiler

from device_runners.edge_tpu import CompilerOptions, Driver, SearchMode
from device_runners.edge_tpu.compiler import COMPILER_VARIABLE
from device_runners.edge_tpu.driver import Compilation
from device_runners.runner import Int8Model

GRAPH = relu_chain("net")
NET = Int8Model("net", b"the model", GRAPH)

Make = Callable[..., StandIn]


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a stand-in that does this, call by call, and names it as the compiler."""

    def make(*outcomes: Outcome, **more: Any) -> StandIn:
        stand_in = make_compiler(tmp_path / "compiler", *outcomes, **more)
        monkeypatch.setenv(COMPILER_VARIABLE, str(stand_in.executable))
        return stand_in

    return make


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.compiled"
    path.write_bytes(compiled(GRAPH))
    return path


def run(**driver: Any) -> tuple[Compilation, list[str]]:
    notes: list[str] = []
    compilation = Driver(**driver, note=notes.append).compile([NET], ["net_edgetpu.tflite"])
    return compilation, notes


def test_success_takes_one_call(compiler: Make, net: Path) -> None:
    stand_in = compiler(Outcome(SUCCESS_16, [net], ["the log"]))
    compilation, notes = run()
    assert compilation.error is None and notes == []
    assert compilation.files["net_edgetpu.tflite"] == net.read_bytes()
    assert compilation.files["net_edgetpu.log"] == b"the log"
    assert "net.tflite" not in compilation.files  # the input is no output
    assert compilation.transcript == SUCCESS_16.replace("{stem}", "net")
    assert stand_in.calls == [["--show_operations", "--out_dir", ".", "net.tflite"]]


def test_the_random_internal_error_is_retried_and_each_retry_is_reported(
    compiler: Make, net: Path
) -> None:
    failing = Outcome(INTERNAL_14, code=1)
    stand_in = compiler(failing, failing, Outcome(SUCCESS_16, [net]))
    compilation, notes = run()
    assert compilation.error is None
    assert len(stand_in.calls) == len(compilation.attempts) == 3
    assert len(notes) == 2 and all("calling it again" in note for note in notes)
    failures = [attempt.failure for attempt in compilation.attempts]
    assert "failed inside" in failures[0] and failures[2] == ""
    assert compilation.transcript.count("$ edgetpu_compiler --show_operations") == 3
    assert INTERNAL_14.strip() in compilation.transcript


@pytest.mark.parametrize("retries", [0, 2])
def test_retries_end(compiler: Make, retries: int) -> None:
    stand_in = compiler(Outcome(INTERNAL_14, code=1))
    compilation, _ = run(retries=retries)
    assert len(stand_in.calls) == 1 + retries
    assert compilation.error is not None
    assert ("(3 attempts)" in compilation.error.message) == (retries == 2)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(f"{START_16}Invalid model: net.tflite\nModel not quantized\n", code=1),
        Outcome(CRASH_16, code=139),
        Outcome(START_16, code=-11),
        Outcome(START_16 + FAILED_END_16, code=1),
        Outcome(SUCCESS_16),
    ],
)
def test_other_failures_are_not_repeated(compiler: Make, outcome: Outcome) -> None:
    stand_in = compiler(outcome)
    compilation, notes = run()
    assert compilation.error is not None and notes == []
    assert len(stand_in.calls) == 1


@pytest.mark.parametrize("failed", [FAILED_16, START_16 + TIMEOUT + FAILED_END_16])
def test_large_activations_start_a_search(compiler: Make, net: Path, failed: str) -> None:
    stand_in = compiler(Outcome(failed, code=1), Outcome(SEARCH_16, [net]))
    compilation, notes = run(options=CompilerOptions(delegate_search_step=10))
    assert compilation.error is None
    assert "--search_delegate" not in stand_in.calls[0]
    assert stand_in.calls[1][3:6] == ["--search_delegate", "--delegate_search_step", "10"]
    assert "searching for a part that compiles" in notes[0]
    (search,) = compilation.searches
    assert search.found is not None and search.found.operations == 274


def test_a_search_that_fails_is_the_end(compiler: Make) -> None:
    tries = SEARCH_16[: SEARCH_16.index("Try to compile segment with 274")]
    stand_in = compiler(Outcome(FAILED_16, code=1), Outcome(tries, code=1))
    compilation, _ = run()
    assert len(stand_in.calls) == 2
    assert compilation.error is not None and "(2 attempts)" in compilation.error.message


@pytest.mark.parametrize(
    ("options", "failed"),
    [
        (CompilerOptions(search_delegate=SearchMode.OFF), FAILED_16),
        (CompilerOptions(intermediate_tensors=("net/t1",)), FAILED_16),
        (CompilerOptions(), FAILED_16.replace("16.0.384591198", "15.0.340273435")),
    ],
)
def test_no_search_where_it_is_off_excluded_or_unknown_to_the_compiler(
    compiler: Make, options: CompilerOptions, failed: str
) -> None:
    stand_in = compiler(Outcome(failed, code=1))
    compilation, notes = run(options=options)
    assert len(stand_in.calls) == 1 and notes == []
    assert compilation.error is not None and "search_delegate" in compilation.error.hint


def test_search_may_be_asked_for_at_once(compiler: Make, net: Path) -> None:
    stand_in = compiler(Outcome(SEARCH_16, [net]))
    compilation, _ = run(options=CompilerOptions(search_delegate=SearchMode.ON))
    assert compilation.error is None
    assert len(stand_in.calls) == 1 and "--search_delegate" in stand_in.calls[0]


def test_hang_ends_at_the_time_limit_with_its_children(compiler: Make) -> None:
    stand_in = compiler(Outcome(START_16, hang=60))
    started = time.monotonic()
    compilation, _ = run(time_limit=1)
    assert time.monotonic() - started < 10
    assert compilation.error is not None
    assert "didn't finish within 1 seconds (the last call was to compile)" in (
        compilation.error.message
    )
    assert compilation.output == START_16  # what it had said by then is kept
    assert not is_running(stand_in.child)


def test_the_time_limit_is_one_for_all_attempts(compiler: Make) -> None:
    stand_in = compiler(Outcome(FAILED_16, code=1), Outcome(SEARCH_16[:80], hang=60))
    started = time.monotonic()
    compilation, _ = run(time_limit=3)
    assert time.monotonic() - started < 10
    assert len(stand_in.calls) == 2
    assert compilation.error is not None
    assert "search for a part of the model" in compilation.error.message
    assert not is_running(stand_in.child)


def test_missing_segment_is_named(compiler: Make, net: Path) -> None:
    compiler(Outcome(FAILED_16, [net], code=1))
    options = CompilerOptions(num_segments=2, search_delegate=SearchMode.OFF)
    names = [f"net_segment_{i}_of_2_edgetpu.tflite" for i in range(2)]
    compilation = Driver(options).compile([NET], names)
    assert compilation.error is not None
    assert "1 of 2 compiled files are missing: net_segment_1_of_2" in compilation.error.message


def test_no_compiler_is_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPILER_VARIABLE, os.devnull)
    compilation, _ = run()
    assert compilation.attempts == () and compilation.error is not None
    assert compilation.transcript == ""

"""Co-compilation: several models in one call, which share the parameter memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.edge_tpu_compiled import TOKEN, compiled, relu_chain
from support.edgetpu_outputs import FAILED_16, SEGMENT_WARNING_15, TOGETHER_16
from support.edgetpu_stand_in import Outcome, StandIn, make_compiler

from converters.errors import ExitCode, TidepoolError
from device_runners.edge_tpu import CompilerOptions, Driver, build_together
from device_runners.edge_tpu.compiler import COMPILER_VARIABLE
from device_runners.runner import Int8Model

FIRST, SECOND = (Int8Model(name, name.encode(), relu_chain(name)) for name in ("first", "second"))


class Setup:
    """Makes the compiler, which gives the models these files."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path
        self.monkeypatch = monkeypatch

    def __call__(self, *contents: bytes, output: str = TOGETHER_16, code: int = 0) -> StandIn:
        files = [self.folder / f"{number}.compiled" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        stand_in = make_compiler(
            self.folder / "compiler", Outcome(output, files, ["log 1", "log 2"], code)
        )
        self.monkeypatch.setenv(COMPILER_VARIABLE, str(stand_in.executable))
        return stand_in


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(tmp_path, monkeypatch)


def test_each_model_gets_its_files_and_figures_in_the_order_given(
    tmp_path: Path, compiler: Setup
) -> None:
    contents = compiled(FIRST.graph), compiled(SECOND.graph, on_cpu=[3], cached_bytes=320)
    stand_in = compiler(*contents)
    artifacts = build_together([FIRST, SECOND], tmp_path / "out", Driver())
    assert artifacts.files == (
        "cocompiled_edgetpu_compiler.txt",
        "first_edgetpu.log",
        "first_edgetpu.tflite",
        "first_int8.tflite",
        "run_on_device.py",
        "second_edgetpu.log",
        "second_edgetpu.tflite",
        "second_int8.tflite",
    )
    assert (tmp_path / "out" / "second_edgetpu.tflite").read_bytes() == contents[1]
    assert (tmp_path / "out" / "second_edgetpu.log").read_text() == "log 2"
    assert stand_in.calls[0][-2:] == ["first.tflite", "second.tflite"]
    figures = artifacts.figures
    assert [model["name"] for model in figures["models"]] == ["first", "second"]
    assert [model["cpu_operations"] for model in figures["models"]] == [0, 1]
    assert [model["parts"][0]["cached_bytes"] for model in figures["models"]] == [640, 320]
    reports = [model["compile_report"] for model in figures["models"]]
    assert [report["off_chip_bytes"] for report in reports] == [0, round(158.06 * 1024)]
    assert figures["parameter_caching_token"] == f"0x{TOKEN:016x}"
    assert figures["not_cached"] == []


def test_models_that_do_not_share_a_token_are_refused(tmp_path: Path, compiler: Setup) -> None:
    compiler(compiled(FIRST.graph), compiled(SECOND.graph, token=7))
    with pytest.raises(TidepoolError, match="don't share the parameter memory") as error:
        build_together([FIRST, SECOND], tmp_path / "out", Driver())
    assert f"first: 0x{TOKEN:016x}; second: 0x{7:016x}" in error.value.message
    assert not (tmp_path / "out" / "first_edgetpu.tflite").exists()


def test_a_model_without_room_in_the_memory_is_named(tmp_path: Path, compiler: Setup) -> None:
    compiler(compiled(FIRST.graph), compiled(SECOND.graph, cached_bytes=0))
    figures = build_together([FIRST, SECOND], tmp_path / "out", Driver()).figures
    assert figures["not_cached"] == ["second"]
    assert figures["parameter_caching_token"] == f"0x{TOKEN:016x}"


def test_nothing_cached_is_no_token(tmp_path: Path, compiler: Setup) -> None:
    compiler(compiled(FIRST.graph, cached_bytes=0), compiled(SECOND.graph, cached_bytes=0))
    figures = build_together([FIRST, SECOND], tmp_path / "out", Driver()).figures
    assert figures["parameter_caching_token"] is None
    assert figures["not_cached"] == ["first", "second"]


def test_a_model_that_maps_nothing_is_named(tmp_path: Path, compiler: Setup) -> None:
    compiler(compiled(FIRST.graph), compiled(SECOND.graph, on_cpu=range(4)))
    with pytest.raises(TidepoolError, match="nothing of second was mapped"):
        build_together([FIRST, SECOND], tmp_path / "out", Driver())


def test_failure_keeps_every_model(tmp_path: Path, compiler: Setup) -> None:
    stand_in = compiler(output=FAILED_16, code=1)
    with pytest.raises(TidepoolError, match="activations don't fit"):
        build_together([FIRST, SECOND], tmp_path / "out", Driver())
    # Which of the models is too large the compiler doesn't say: no search.
    assert len(stand_in.calls) == 1
    assert (tmp_path / "out" / "first_int8.tflite").read_bytes() == b"first"
    assert (tmp_path / "out" / "second_int8.tflite").read_bytes() == b"second"
    transcript = tmp_path / "out" / "cocompiled_edgetpu_compiler.txt"
    assert transcript.read_text() == FAILED_16


def test_warnings_of_the_compiler_are_kept(tmp_path: Path, compiler: Setup) -> None:
    output = f"{SEGMENT_WARNING_15}\n{TOGETHER_16}"
    compiler(compiled(FIRST.graph), compiled(SECOND.graph), output=output)
    figures = build_together([FIRST, SECOND], tmp_path / "out", Driver()).figures
    assert "more segments than is necessary" in figures["compiler_warnings"][0]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([FIRST], "at least two models"),
        ([FIRST, SECOND, FIRST], "2 of the models to compile together are called 'first'"),
    ],
)
def test_too_few_models_or_models_of_one_name(
    tmp_path: Path, models: list[Int8Model], message: str
) -> None:
    with pytest.raises(TidepoolError, match=message):
        build_together(models, tmp_path / "out", Driver())
    assert not (tmp_path / "out").exists()


def test_segments_of_several_models_are_refused(tmp_path: Path) -> None:
    driver = Driver(CompilerOptions(num_segments=2))
    with pytest.raises(TidepoolError, match="cut into segments"):
        build_together([FIRST, SECOND], tmp_path / "out", driver)


def test_missing_compiler_keeps_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPILER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(TidepoolError, match="not an executable") as error:
        build_together([FIRST, SECOND], tmp_path / "out", Driver())
    assert error.value.exit_code is ExitCode.COMPILER_MISSING
    assert (tmp_path / "out" / "second_int8.tflite").exists()

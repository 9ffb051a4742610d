"""Models to compiled ones, as the command line asks for it: one, its segments, several."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.edge_tpu_compiled import TOKEN, compiled, relu_chain
from support.edgetpu_outputs import (
    BODY_16,
    END_16,
    FAILED_16,
    INTERNAL_14,
    SEARCH_16,
    SEGMENTS_16,
    START_16,
    TOGETHER_16,
)
from support.edgetpu_stand_in import Outcome, StandIn, make_compiler

from converters.errors import TidepoolError
from converters.tflite.writer import write_graph
from device_runners.edge_tpu.log import MAPPED
from pipeline.compile import compile_models, driver_of
from pipeline.listener import Silent
from pipeline.settings import EdgeTpuSettings, Settings, load_settings

FIRST, SECOND = relu_chain("first"), relu_chain("second")
TABLE = (
    "\nOperator  Count  Status\n\nRELU  3  Mapped to Edge TPU\nRELU  1  Operation not supported\n"
)

Make = Callable[..., StandIn]


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    paths = [tmp_path / "first_int8.tflite", tmp_path / "second.tflite"]
    for path, graph in zip(paths, (FIRST, SECOND), strict=True):
        path.write_bytes(write_graph(graph))
    return paths


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A compiler that fails with all outputs but the last, and then writes these files."""

    def make(contents: list[bytes], *outputs: str) -> StandIn:
        files = [tmp_path / f"{number}.compiled" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        *failing, succeeding = outputs
        outcomes = [*(Outcome(output, code=1) for output in failing), Outcome(succeeding, files)]
        stand_in = make_compiler(tmp_path / "compiler", *outcomes)
        monkeypatch.setenv("EDGETPU_COMPILER", str(stand_in.executable))
        return stand_in

    return make


def settings(**edge_tpu: Any) -> Settings:
    return Settings(edge_tpu=EdgeTpuSettings(**edge_tpu))


def test_one_model(models: list[Path], compiler: Make) -> None:
    compiler([compiled(FIRST, on_cpu=[3])], START_16 + BODY_16 + TABLE + END_16)
    summary = compile_models(models[:1], settings(), Silent())
    assert summary.directory == "build/first/edge_tpu"
    assert Path(summary.directory, "first_edgetpu.tflite").is_file()
    (model,) = summary.models
    assert (model.tpu_operations, model.cpu_operations) == (3, 1)
    assert model.predicted_tpu_operations == 4
    rows = dict(summary.rows())
    assert rows["compiler"] == "version 16.0.384591198, called once"
    assert rows["operators"] == "3 on the Edge TPU (4 predicted), 1 on the CPU"
    assert "640 cached, 32 streamed" in rows["first_edgetpu.tflite"]
    assert rows["predicted otherwise"] == (
        f"operator 3 RELU: predicted '{MAPPED}', the compiler says 'Operation not supported'"
    )
    assert "caching token" not in rows


def test_several_models_together(models: list[Path], compiler: Make) -> None:
    compiler([compiled(FIRST), compiled(SECOND, cached_bytes=0)], TOGETHER_16)
    summary = compile_models(models, settings(), Silent())
    assert summary.directory == "build/first-second/edge_tpu"
    assert [model.name for model in summary.models] == ["first", "second"]
    rows = dict(summary.rows())
    assert rows["caching token"] == f"0x{TOKEN:016x}"
    assert rows["no room in the memory"] == "second"
    assert "first: first_edgetpu.tflite" in rows and "second: second_edgetpu.tflite" in rows
    content = json.loads(summary.to_json())
    assert content["models"][1]["files"][0]["cached_bytes"] == 0
    assert content["not_cached"] == ["second"]


def test_segments(models: list[Path], compiler: Make) -> None:
    compiler([compiled(FIRST, [0, 1]), compiled(FIRST, [2, 3])], SEGMENTS_16)
    summary = compile_models(models[:1], settings(num_segments=2), Silent())
    files = [file.file for file in summary.models[0].files]
    assert files == [f"first_segment_{i}_of_2_edgetpu.tflite" for i in range(2)]
    assert summary.models[0].tpu_operations == 4


def test_attempts_and_a_search_are_reported(models: list[Path], compiler: Make) -> None:
    compiler([compiled(FIRST)], INTERNAL_14, FAILED_16, SEARCH_16)
    listener = Notes()
    summary = compile_models(models[:1], settings(), listener)
    assert summary.attempts == 3
    assert ["again" in listener.notes[0], "searching" in listener.notes[1]] == [True, True]
    assert summary.intermediate_tensors == (
        "Relu6_12;box-0-bn-7/FusedBatchNormV3;box-0/BiasAdd_4",
        "Reshape_3",
        "y",
    )
    assert ("the Edge TPU's part ends at", "y") in summary.rows()


def test_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match="nowhere.tflite does not exist"):  # noqa: RUF043
        compile_models([tmp_path / "nowhere.tflite"], settings(), Silent())
    with pytest.raises(TidepoolError, match="no model to compile"):
        compile_models([], settings(), Silent())


def test_every_setting_reaches_the_driver(tmp_path: Path) -> None:
    file = tmp_path / "tidepool.toml"
    file.write_text(
        '[edge_tpu]\ntimeout_seconds = 900\ncontainer = "coral"\nretries = 5\n'
        "min_runtime_version = 13\ntimeout_sec = 60\nnum_segments = 3\n"
        'search_delegate = "off"\ndelegate_search_step = 4\n'
        'intermediate_tensors = ["a", "b"]\nenable_multiple_subgraphs = true\n'
    )
    driver = driver_of(load_settings(file, {}).edge_tpu, Silent())
    assert (driver.container, driver.retries, driver.time_limit) == ("coral", 5, 900)
    arguments = " ".join(driver.options.arguments(search=True))
    assert arguments == (
        "--show_operations --out_dir . --min_runtime_version 13 --timeout_sec 60 --num_segments 3 "
        "--search_delegate --delegate_search_step 4 --intermediate_tensors a,b "
        "--enable_multiple_subgraphs"
    )
    assert driver.options.search_delegate == "off"


@pytest.mark.parametrize(
    "setting", ["min_runtime_version = 15", "num_segments = 0", 'search_delegate = "maybe"']
)
def test_settings_out_of_range_are_refused(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "tidepool.toml"
    file.write_text(f"[edge_tpu]\n{setting}\n")
    with pytest.raises(TidepoolError, match=f"edge_tpu.{setting.split(maxsplit=1)[0]}"):
        load_settings(file, {})

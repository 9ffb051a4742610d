"""Running on an attached Edge TPU: a board stands in, and where there is one, a real one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support.edge_tpu_board import REBUILT, STOCK, Board, stand_in_library

from converters.errors import ExitCode, TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.reader import read_graph
from device_runners.edge_tpu.device import (
    DeviceOptions,
    before_compilation,
    difference,
    run_artifacts,
    run_samples,
)
from device_runners.edge_tpu.standalone.run_on_device import device_trouble
from device_runners.host.oracle import Oracle
from device_runners.runner import Artifacts

FEW = DeviceOptions(runs=3, warmup=1)


@pytest.fixture(scope="session")
def libedgetpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in_library(tmp_path_factory.mktemp("libedgetpu"))


@pytest.fixture
def board(tmp_path: Path, libedgetpu: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    board = Board(tmp_path, libedgetpu)
    board.write_host_model()
    board.install_litert()
    board.enter(monkeypatch)
    return board


def samples(count: int) -> list[list[np.ndarray]]:
    values = np.arange(-40, 8 * count - 40, dtype=np.int8).reshape(count, 1, 8)
    return [[array] for array in values]


def test_outputs_latency_and_versions(board: Board) -> None:
    run = run_samples(board.model, samples(10), FEW)
    oracle = Oracle(board.host_model)
    for found, sample in zip(run.outputs, samples(10), strict=True):
        np.testing.assert_array_equal(found[0], oracle.run(sample)[0])
    assert run.interpreter == "tflite_runtime.interpreter"
    assert "tflite_runtime 2.17.0" in run.versions
    assert run.runtime == REBUILT
    assert (run.latency.runs, run.latency.warmup) == (3, 1)
    assert 0 < run.latency.min <= run.latency.p50 <= run.latency.p90 <= run.latency.p99
    assert run.first_ms > 0


def test_other_python(board: Board) -> None:
    """The interpreter may be installed for another Python than the one that is running."""
    python = board.programs / "python3.9"
    python.write_text(f'#!/bin/sh\ntouch "{board.folder}/called"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    options = DeviceOptions(runs=1, warmup=0, python=python)
    assert len(run_samples(board.model, samples(2), options).outputs) == 2
    assert (board.folder / "called").is_file()


@pytest.mark.parametrize(
    ("python", "message"),
    [("absent_python", "absent_python is not an executable Python"), ("/bin/echo", "can't run")],
)
def test_what_is_no_python(board: Board, python: str, message: str) -> None:
    with pytest.raises(TidepoolError, match=message) as caught:
        run_samples(board.model, samples(1), DeviceOptions(python=Path(python)))
    assert caught.value.hint


def test_error_of_the_script(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_VERSION", STOCK)
    with pytest.raises(TidepoolError) as caught:
        run_samples(board.model, samples(1), FEW)
    assert caught.value.message.startswith("tflite_runtime 2.17.0 would crash with this libedgetpu")
    assert caught.value.message.endswith(f"({STOCK})")
    assert caught.value.hint.startswith("stock libedgetpu 16.0 is built on TensorFlow 2.5")


@pytest.mark.parametrize(
    "options",
    [
        DeviceOptions(device="gpu"),
        DeviceOptions(device="usb", delegate_options=("Performance=Max",)),
        DeviceOptions(runs=0),
    ],
)
def test_wrong_options(options: DeviceOptions) -> None:
    with pytest.raises(TidepoolError) as caught:
        options.check()
    assert caught.value.exit_code == ExitCode.USAGE


def test_options_reach_the_delegate(board: Board) -> None:
    (board.packages / "tflite_runtime" / "interpreter.py").unlink()
    (board.packages / "tflite_runtime").rename(board.packages / "gone")
    board.install("ai_edge_litert", "1.2.0")
    options = DeviceOptions("usb:1", ("Performance=Low",), runs=1, warmup=0)
    run_samples(board.model, samples(1), options)
    made_of = board.made_of.read_text()
    assert made_of == (
        '["ai_edge_litert.interpreter", [["libedgetpu.so.1", '
        '{"Performance": "Low", "device": "usb:1"}]]]'
    )


def test_one_inference_of_a_build(board: Board) -> None:
    artifacts = Artifacts(board.folder, (board.host_model.name, board.model.name))
    (sample,) = samples(1)
    (found,) = run_artifacts(artifacts, sample)
    np.testing.assert_array_equal(found, Oracle(board.host_model).run(sample)[0])


@pytest.mark.parametrize("files", [(), ("a_edgetpu.tflite", "b_edgetpu.tflite")])
def test_build_without_one_compiled_model(tmp_path: Path, files: tuple[str, ...]) -> None:
    with pytest.raises(TidepoolError, match="compiled models, not one"):
        run_artifacts(Artifacts(tmp_path, files), [])


def test_model_before_compilation(tmp_path: Path) -> None:
    compiled = tmp_path / "net_edgetpu.tflite"
    assert before_compilation(compiled) == tmp_path / "net_int8.tflite"
    (tmp_path / "net.tflite").write_bytes(b"")
    assert before_compilation(compiled) == tmp_path / "net.tflite"
    (tmp_path / "net_int8.tflite").write_bytes(b"")
    assert before_compilation(compiled) == tmp_path / "net_int8.tflite"


def test_renamed_model_is_not_its_own_source(tmp_path: Path) -> None:
    compiled = tmp_path / "net.tflite"
    compiled.write_bytes(b"")
    assert before_compilation(compiled) == tmp_path / "net_int8.tflite"


def test_difference_in_lsb_and_in_values() -> None:
    builder = GraphBuilder("outputs")
    quantized, plain = builder.input((1, 4), 0.5, 0), builder.tensor((1, 4))
    builder.output(quantized)
    tensors = builder.graph().tensors
    ours, theirs = np.array([[[1, 2, 3, 4]]], np.int8), np.array([[[1, 2, 3, 0]]], np.int8)
    found = difference(tensors[quantized], ours, theirs)
    assert (found.unit, found.max, found.mean, found.equal) == ("LSB", 4.0, 1.0, 0.75)
    assert found.same_argmax == 0.0
    assert difference(tensors[plain], ours, theirs).unit == "value"


def test_difference_of_what_is_no_number() -> None:
    builder = GraphBuilder("outputs")
    builder.output(builder.input((1, 4), 0.5, 0))
    (tensor,) = builder.graph().tensors
    with pytest.raises(TidepoolError, match="not finite"):
        difference(tensor, np.full((1, 4), np.nan), np.zeros((1, 4)))


def test_real_device(edge_tpu_pairs: Path) -> None:
    trouble = device_trouble("auto")
    if trouble is not None:
        pytest.skip(str(trouble))
    compiled = edge_tpu_pairs / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    host = before_compilation(compiled)
    image = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3)).astype(np.uint8)
    run = run_samples(compiled, [[image]], FEW)
    assert run.runtime is not None and "RuntimeVersion" in run.runtime
    (tensor,) = read_graph(host).output_tensors
    found = difference(tensor, np.stack(run.outputs[0]), np.stack(Oracle(host).run([image])))
    assert found.max <= 16

"""``tidepool run``: the comparison with the reference, on stand-ins and for real on the CPU."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from support.edge_tpu_board import REBUILT, Board, stand_in_library

from converters.errors import ExitCode, TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.reader import read_graph
from converters.tflite.writer import write_graph
from device_runners.edge_tpu.device import DeviceOptions
from pipeline.device_run import DeviceResult, run_model
from pipeline.listener import Silent
from pipeline.settings import DatasetSettings

FEW = DeviceOptions(runs=3, warmup=1)
ON_CPU = dataclasses.replace(FEW, device="cpu")


@pytest.fixture(scope="session")
def libedgetpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in_library(tmp_path_factory.mktemp("libedgetpu"))


@pytest.fixture
def board(tmp_path: Path, libedgetpu: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board whose device is 2 LSB above the reference."""
    board = Board(tmp_path, libedgetpu)
    board.write_host_model()
    board.install_litert(shift=2)
    board.enter(monkeypatch)
    return board


def one_hot(board: Board, labels: bool = True) -> DatasetSettings:
    """Ten samples, each with one large value, whose place is the label."""
    y = np.arange(10) % 8
    x = np.eye(8, dtype=np.float32)[y] * 20
    path = board.folder / "data.npz"
    np.savez(path, **({"x": x, "y": y} if labels else {"x": x}))
    return DatasetSettings(source=str(path))


def test_device_is_compared_with_the_reference(board: Board) -> None:
    report = run_model(board.model, FEW, Silent(), inputs=one_hot(board)).report
    assert report.on_edge_tpu
    assert report.ran == report.model == str(board.model)
    assert report.compared_with == str(board.host_model)
    assert report.runtime == REBUILT
    assert report.samples == 10
    (found,) = report.differences
    assert (found.unit, found.max, found.mean, found.equal) == ("LSB", 2.0, 2.0, 0.0)
    assert found.same_argmax == 1.0
    assert (report.metric, report.host_value, report.device_value) == ("accuracy", 1.0, 1.0)
    assert report.latency_ms.runs == 3
    assert report.first_ms > 0


def test_report_as_table_and_json(board: Board) -> None:
    report = run_model(board.model, FEW, Silent(), inputs=one_hot(board)).report
    content = json.loads(report.model_dump_json())
    assert content["latency_ms"].keys() >= {"p50", "p90", "p99", "min", "mean"}
    assert content["differences"][0]["max"] == 2.0
    rows = dict(report.rows())
    assert rows["ran on"] == "Edge TPU (device 'auto')"
    assert "upload" in rows["first inference"]
    assert "perf_counter" in rows["clock"]
    assert rows["accuracy of these samples"] == "host 1.0000, device 1.0000"
    assert any(label.startswith("output ") and "max 2," in text for label, text in rows.items())


def test_data_without_labels_has_no_metric(board: Board) -> None:
    # Inputs and outputs of one size: without labels it is taken for an autoencoder.
    inputs = one_hot(board, labels=False)
    report = run_model(board.model, FEW, Silent(), inputs=inputs).report
    assert report.metric == "mean_squared_error"
    assert report.host_value == 0.0
    assert report.device_value == 1.0  # 2 LSB of 0.5


def test_labels_that_do_not_fit_are_no_obstacle(board: Board) -> None:
    path = board.folder / "boxes.npz"
    np.savez(path, x=np.ones((2, 8), np.float32), y=np.ones((2, 3, 4), np.float32))
    result = run_model(board.model, FEW, Silent(), inputs=DatasetSettings(source=str(path)))
    assert result.report.metric is None
    assert any(text.startswith("no metric: labels of shape") for text in result.report.warnings)


def test_quantized_data_is_taken_as_it_is(board: Board) -> None:
    real, raw = board.folder / "real.npy", board.folder / "raw.npy"
    values = np.arange(-20, 20, dtype=np.int8).reshape(5, 8)
    np.save(real, values * np.float32(0.5))
    np.save(raw, values)
    for path in (real, raw):
        settings = DatasetSettings(source=str(path))
        report = run_model(board.model, FEW, Silent(), inputs=settings).report
        assert report.samples == 5
        # The model changes what is below zero, by its own size: the same integers went in.
        assert report.metric == "mean_squared_error"
        assert report.host_value == np.mean(np.minimum(values * 0.5, 0) ** 2)


def test_number_of_samples(board: Board) -> None:
    inputs = one_hot(board)
    assert run_model(board.model, FEW, Silent(), inputs=inputs, samples=3).report.samples == 3
    assert run_model(board.model, FEW, Silent(), inputs=inputs, samples=None).report.samples == 10


def test_noise_without_inputs_is_reproducible_and_named(board: Board) -> None:
    first, second = (run_model(board.model, FEW, Silent()).report for _ in range(2))
    assert first.inputs == second.inputs == "noise from the fixed seed 0x12345678"
    assert first.samples == 4
    assert first.metric is None
    assert first.differences == second.differences != []


@pytest.mark.parametrize(("limit", "fails"), [(1.0, True), (2.0, False)])
def test_largest_difference_that_is_allowed(board: Board, limit: float, fails: bool) -> None:
    inputs = one_hot(board)
    result = run_model(board.model, FEW, Silent(), inputs=inputs, max_difference=limit)
    assert (result.error is not None) is fails
    if result.error is not None:
        assert result.error.exit_code == ExitCode.MISMATCH
        assert "by up to 2 LSB, more than the 1 allowed" in result.error.message


def test_host_model_by_name(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = board.host_model.rename(board.folder / "moved.tflite")
    monkeypatch.setenv("STAND_IN_MODEL", str(moved))
    alone = run_model(board.model, FEW, Silent()).report
    assert alone.compared_with is None and alone.differences == []
    assert "net_int8.tflite: the outputs are not compared" in alone.warnings[0]
    with pytest.raises(TidepoolError, match="can't be compared with the reference"):
        run_model(board.model, FEW, Silent(), max_difference=1)
    named = run_model(board.model, FEW, Silent(), host_model=moved).report
    assert named.compared_with == str(moved) and named.warnings == []


def test_wrong_host_model(board: Board) -> None:
    builder = GraphBuilder("other")
    x = builder.input((1, 8), 0.25, 0)
    builder.output(builder.op("RELU", [x], None, shape=(1, 8), scale=0.5, zero_point=0))
    other = board.folder / "other.tflite"
    other.write_bytes(write_graph(builder.graph()))
    with pytest.raises(TidepoolError, match="its input 'tensor_0' differs"):
        run_model(board.model, FEW, Silent(), host_model=other)
    with pytest.raises(TidepoolError, match="compiled for the Edge TPU: no CPU runs it"):
        run_model(board.model, FEW, Silent(), host_model=board.model)


def test_host_model_with_other_operators(board: Board) -> None:
    graph = read_graph(board.host_model)
    operators = tuple(dataclasses.replace(op, opcode="RELU6") for op in graph.operators)
    board.host_model.write_bytes(write_graph(dataclasses.replace(graph, operators=operators)))
    with pytest.raises(TidepoolError, match="is not the model that") as caught:
        run_model(board.model, FEW, Silent())
    assert "--host-model" in caught.value.hint


def test_data_that_does_not_fit(board: Board) -> None:
    path = board.folder / "wide.npy"
    np.save(path, np.zeros((2, 9), np.float32))
    with pytest.raises(TidepoolError, match=r"has shape \(9,\), but the model's input"):
        run_model(board.model, FEW, Silent(), inputs=DatasetSettings(source=str(path)))
    assert not board.made_of.exists()


def test_model_that_is_not_compiled(board: Board) -> None:
    with pytest.raises(TidepoolError, match="is not compiled for the Edge TPU") as caught:
        run_model(board.host_model, FEW, Silent())
    assert "--device cpu" in caught.value.hint


def on_cpu(model: Path, **more: object) -> DeviceResult:
    return run_model(model, ON_CPU, Silent(), **more)  # type: ignore[arg-type]


def test_cpu_runs_the_model_before_compilation(edge_tpu_pairs: Path) -> None:
    compiled = edge_tpu_pairs / "mobilenet_v1_0.25_128_quant_edgetpu.tflite"
    host = edge_tpu_pairs / "mobilenet_v1_0.25_128_quant.tflite"
    report = on_cpu(compiled).report
    assert not report.on_edge_tpu
    assert (report.model, report.ran, report.compared_with) == (str(compiled), str(host), str(host))
    assert "CPU, NOT an Edge TPU" in dict(report.rows())["ran on"]
    assert json.loads(report.model_dump_json())["on_edge_tpu"] is False
    (found,) = report.differences
    assert found.unit == "LSB" and found.equal > 0.9


def test_cpu_without_the_model_before_compilation(tmp_path: Path, edge_tpu_pairs: Path) -> None:
    compiled = tmp_path / "net_edgetpu.tflite"
    compiled.write_bytes((edge_tpu_pairs / "split_concat_edgetpu.tflite").read_bytes())
    with pytest.raises(TidepoolError, match=r"can't run on a CPU, and there is no .*net_int8"):
        on_cpu(compiled)
    host = edge_tpu_pairs / "split_concat.tflite"
    report = on_cpu(compiled, host_model=host).report
    assert [entry.max for entry in report.differences] == [0.0] * 5


def test_cpu_with_real_data(mlperf_tiny: Path) -> None:
    """Recorded int8 inputs of a keyword spotter, with their labels."""
    model = mlperf_tiny / "kws_dscnn_int8.tflite"
    inputs = DatasetSettings(source=str(mlperf_tiny / "kws_inputs.npz"))
    report = on_cpu(model, inputs=inputs, samples=100).report
    assert report.ran == report.model == str(model)
    assert report.interpreter == "ai_edge_litert.interpreter"
    (found,) = report.differences
    assert found.same_argmax is not None and found.same_argmax > 0.95
    assert report.metric == "accuracy" and report.samples == 100
    assert report.host_value is not None and report.host_value > 0.8
    assert report.device_value == pytest.approx(report.host_value, abs=0.05)


def test_float_output(edge_tpu_pairs: Path) -> None:
    report = on_cpu(edge_tpu_pairs / "movenet_single_pose_lightning_ptq_edgetpu.tflite").report
    (found,) = report.differences
    assert found.unit == "value" and 0 < found.max < 1
